//! TLS: both versions of HTTP, new certificates while connections go on, and clients that show theirs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dataapi_server::{Config, Tls, TlsError, TlsFiles};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Server, memory};

const PATIENCE: Duration = Duration::from_mins(1);

/// An authority that signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn signed(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// The files of a server, with a certificate of that authority.
struct Files {
    folder: TempDir,
    with_clients: bool,
}

impl Files {
    fn new(authority: &Authority, clients: Option<&Authority>) -> Self {
        let files = Self {
            folder: tempfile::tempdir().expect("a folder"),
            with_clients: clients.is_some(),
        };
        if let Some(clients) = clients {
            std::fs::write(files.path("clients.pem"), clients.pem()).expect("a file");
        }
        files.renew(authority);
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::join(self.folder.path(), name)
    }

    fn renew(&self, authority: &Authority) {
        let (certificate, key) = authority.signed();
        std::fs::write(self.path("server.pem"), certificate).expect("a file");
        std::fs::write(self.path("server.key"), key).expect("a file");
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authorities: self.with_clients.then(|| self.path("clients.pem")),
        })
    }

    async fn serve(&self, config: Config) -> (Server, Arc<Tls>) {
        let tls = Arc::new(self.load().expect("good files"));
        let config = Config { tls: Some(Arc::clone(&tls)), ..config };
        (Server::start(memory(), config).await, tls)
    }
}

/// A client that trusts an authority, speaks that protocol, and shows a certificate if it has one.
fn client(trusted: &Authority, protocol: &[u8], shown: Option<&(String, String)>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(trusted.pem().as_bytes()).expect("PEM");
    roots.add(authority).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            let chain = vec![certificate.expect("PEM")];
            config.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config).into()
}

async fn connect(server: &Server, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server.address).await?;
    client.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

/// Asks on a connection that goes on, and returns the status line.
async fn ask(connection: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    connection.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut byte = [0];
        connection.read_exact(&mut byte).await?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer).expect("UTF-8");
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn shown_by(connection: &TlsStream<TcpStream>) -> Vec<u8> {
    let (_, session) = connection.get_ref();
    session.peer_certificates().expect("a certificate")[0].to_vec()
}

/// A connection over HTTP/2, driven in the background until it ends.
async fn over_http2(
    server: &Server,
    authority: &Authority,
) -> (hyper::client::conn::http2::SendRequest<String>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream = connect(server, &client(authority, b"h2", None)).await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    (sender, tokio::spawn(connection))
}

fn request(target: &str, body: &str) -> http::Request<String> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let uri = format!("https://localhost{target}");
    http::Request::builder().method(method).uri(uri).body(body.to_owned()).expect("a request")
}

#[tokio::test]
async fn over_tls_both_versions_of_http_are_spoken() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, _) = files.serve(Config::default()).await;
    let mut one = connect(&server, &client(&authority, b"http/1.1", None)).await.expect("TLS");
    for _ in 0..2 {
        assert_eq!(ask(&mut one).await.expect("an answer"), "HTTP/1.1 200 OK");
    }

    let (two, _) = over_http2(&server, &authority).await;
    let body = r#"{"text":"t","language":"en"}"#;
    let many = (0..100).map(|number| {
        let mut two = two.clone();
        async move {
            let target = format!("/data/anna/d-{number}");
            let stored = two.send_request(request(&target, body)).await.expect("an answer");
            let answer: http::Response<Incoming> = stored;
            answer.status().as_u16()
        }
    });
    let statuses = futures_util::future::join_all(many).await;
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    assert_eq!(server.store.stats().await.expect("counts").pending, 100);
}

#[tokio::test]
async fn what_is_not_tls_is_not_answered() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, _) = files.serve(Config::default()).await;
    let mut plain = TcpStream::connect(server.address).await.expect("a connection");
    plain.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it is sent");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it is closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let stranger = client(&Authority::new(), b"h2", None);
    assert!(connect(&server, &stranger).await.is_err(), "the client does not trust it");
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_connections_go_on() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, tls) = files.serve(Config::default()).await;
    let client = client(&authority, b"http/1.1", None);
    let mut before = connect(&server, &client).await.expect("a connection");
    assert!(!tls.reload().expect("good files"), "nothing has changed");
    files.renew(&authority);
    assert!(tls.reload().expect("good files"));
    let mut after = connect(&server, &client).await.expect("a connection");
    assert_ne!(shown_by(&before), shown_by(&after));
    for connection in [&mut before, &mut after] {
        assert_eq!(ask(connection).await.expect("an answer"), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_not_taken_and_the_old_certificate_stays() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, tls) = files.serve(Config::default()).await;
    let client = client(&authority, b"http/1.1", None);
    let good = std::fs::read(files.path("server.pem")).expect("a file");
    let spoil = |contents: &[u8]| std::fs::write(files.path("server.pem"), contents);
    for spoilt in [&b""[..], b"no PEM", &good[..good.len() / 2], authority.signed().0.as_bytes()] {
        spoil(spoilt).expect("a file");
        assert!(tls.reload().is_err());
        assert!(files.load().is_err());
        let mut connection = connect(&server, &client).await.expect("a connection");
        assert_eq!(ask(&mut connection).await.expect("an answer"), "HTTP/1.1 200 OK");
    }
    std::fs::remove_file(files.path("server.pem")).expect("a file");
    let refused = tls.reload().expect_err("there is no certificate").to_string();
    assert!(refused.contains("server.pem"), "{refused}");
}

#[tokio::test]
async fn with_client_authorities_only_their_clients_are_served() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let files = Files::new(&authority, Some(&clients));
    let (server, _) = files.serve(Config::default()).await;
    let known = clients.signed();
    let client_with = |shown| client(&authority, b"http/1.1", shown);
    let mut welcome = connect(&server, &client_with(Some(&known))).await.expect("a connection");
    assert_eq!(ask(&mut welcome).await.expect("an answer"), "HTTP/1.1 200 OK");
    for shown in [None, Some(&authority.signed())] {
        // In TLS 1.3 a client learns of it only when it reads.
        let answer = match connect(&server, &client_with(shown)).await {
            Ok(mut connection) => ask(&mut connection).await,
            Err(error) => Err(error),
        };
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_that_agrees_on_nothing_or_asks_for_nothing_is_cut() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let soon = Duration::from_millis(200);
    let config = Config { head_timeout: soon, grace: soon, ..Config::default() };
    let (server, _) = files.serve(config).await;
    let mut silent = TcpStream::connect(server.address).await.expect("a connection");
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut nothing)).await.expect("it is closed");
    assert_eq!(nothing, b"");

    let (mut idle, driven) = over_http2(&server, &authority).await;
    let first = idle.send_request(request("/health/live", "")).await.expect("an answer");
    assert_eq!(first.status(), 200);
    drop(first);
    let _ = timeout(PATIENCE, driven).await.expect("it is closed").expect("no panic");
}

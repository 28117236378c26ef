//! Certificates for a server and its clients, and a client that uses them.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dataapi_server::{Tls, TlsError, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority that signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Creates a certificate and its key.
    pub(crate) fn signed(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

/// The files of a server, with a certificate of an authority.
pub(crate) struct Files {
    folder: TempDir,
    with_clients: bool,
}

impl Files {
    pub(crate) fn new(authority: &Authority, clients: Option<&Authority>) -> Self {
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

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn renew(&self, authority: &Authority) {
        let (certificate, key) = authority.signed();
        std::fs::write(self.path("server.pem"), certificate).expect("a file");
        std::fs::write(self.path("server.key"), key).expect("a file");
    }

    pub(crate) fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(TlsFiles {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authorities: self.with_clients.then(|| self.path("clients.pem")),
        })
    }
}

/// Creates a client that trusts an authority, speaks this protocol, and shows a certificate if it has one.
pub(crate) fn client(
    trusted: &Authority,
    protocol: &[u8],
    shown: Option<&(String, String)>,
) -> TlsConnector {
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

pub(crate) async fn connect(
    address: SocketAddr,
    client: &TlsConnector,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    client.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

/// Sends a request on a connection that stays open, and returns the status line.
pub(crate) async fn ask(connection: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
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

pub(crate) fn shown_by(connection: &TlsStream<TcpStream>) -> Vec<u8> {
    let (_, session) = connection.get_ref();
    session.peer_certificates().expect("a certificate")[0].to_vec()
}

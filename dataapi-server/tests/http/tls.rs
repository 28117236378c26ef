//! TLS: both versions of HTTP, new certificates while connections are open, and client certificates.

use std::sync::Arc;
use std::time::Duration;

use dataapi_server::{Config, Tls};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::certificates::{Authority, Files, ask, client, connect, shown_by};
use crate::patience::PATIENCE;
use crate::server::{DIALOG, Server, memory};

async fn serve(files: &Files, config: Config) -> (Server, Arc<Tls>) {
    let tls = Arc::new(files.load().expect("good files"));
    let config = Config { tls: Some(Arc::clone(&tls)), ..config };
    (Server::start(memory(), config).await, tls)
}

/// Opens a connection over HTTP/2, driven in the background until it ends.
async fn over_http2(
    server: &Server,
    authority: &Authority,
) -> (hyper::client::conn::http2::SendRequest<String>, tokio::task::JoinHandle<hyper::Result<()>>) {
    let stream =
        connect(server.address, &client(authority, b"h2", None)).await.expect("a connection");
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
    let (server, _) = serve(&files, Config::default()).await;
    let mut one =
        connect(server.address, &client(&authority, b"http/1.1", None)).await.expect("TLS");
    for _ in 0..2 {
        assert_eq!(ask(&mut one).await.expect("an answer"), "HTTP/1.1 200 OK");
    }

    let (two, _) = over_http2(&server, &authority).await;
    let body = DIALOG;
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
async fn over_http2_the_authority_is_the_host_and_no_other_may_be_named() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, _) = serve(&files, Config::default()).await;
    let (mut two, _) = over_http2(&server, &authority).await;
    for (uri, host, status) in [
        ("https://localhost/data/", None, 200),
        ("https://localhost:8443/data/", Some("localhost:8443"), 200),
        ("https://localhost/data/", Some("other.example"), 400),
        ("https://evil.example/data/", None, 403),
        ("https://evil.example/data/", Some("localhost"), 400),
    ] {
        let mut request = http::Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(String::new()).expect("a request");
        let answer = two.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), status, "{uri} {host:?}");
    }
}

#[tokio::test]
async fn what_is_not_tls_is_not_answered() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, _) = serve(&files, Config::default()).await;
    let mut plain = server.connect().await;
    plain
        .write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("it is sent");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut answer)).await.expect("it is closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let stranger = client(&Authority::new(), b"h2", None);
    assert!(connect(server.address, &stranger).await.is_err(), "the client does not trust it");
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_connections_go_on() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, tls) = serve(&files, Config::default()).await;
    let client = client(&authority, b"http/1.1", None);
    let mut before = connect(server.address, &client).await.expect("a connection");
    assert!(!tls.reload().expect("good files"), "nothing has changed");
    files.renew(&authority);
    assert!(tls.reload().expect("good files"));
    let mut after = connect(server.address, &client).await.expect("a connection");
    assert_ne!(shown_by(&before), shown_by(&after));
    for connection in [&mut before, &mut after] {
        assert_eq!(ask(connection).await.expect("an answer"), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_not_taken_and_the_old_certificate_stays() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let (server, tls) = serve(&files, Config::default()).await;
    let client = client(&authority, b"http/1.1", None);
    let good = std::fs::read(files.path("server.pem")).expect("a file");
    let spoil = |contents: &[u8]| std::fs::write(files.path("server.pem"), contents);
    for spoilt in [&b""[..], b"no PEM", &good[..good.len() / 2], authority.signed().0.as_bytes()] {
        spoil(spoilt).expect("a file");
        assert!(tls.reload().is_err());
        assert!(files.load().is_err());
        let mut connection = connect(server.address, &client).await.expect("a connection");
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
    let (server, _) = serve(&files, Config::default()).await;
    let known = clients.signed();
    let client_with = |shown| client(&authority, b"http/1.1", shown);
    let mut welcome =
        connect(server.address, &client_with(Some(&known))).await.expect("a connection");
    assert_eq!(ask(&mut welcome).await.expect("an answer"), "HTTP/1.1 200 OK");
    for shown in [None, Some(&authority.signed())] {
        // In TLS 1.3 a client sees the refusal only when it reads.
        let answer = match connect(server.address, &client_with(shown)).await {
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
    let config = Config { head_timeout: soon, idle_timeout: soon, ..Config::default() };
    let (server, _) = serve(&files, config).await;
    let mut silent = server.connect().await;
    let mut nothing = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut nothing)).await.expect("it is closed");
    assert_eq!(nothing, b"");

    let (mut idle, driven) = over_http2(&server, &authority).await;
    let first = idle.send_request(request("/health/live", "")).await.expect("an answer");
    assert_eq!(first.status(), 200);
    drop(first);
    let _ = timeout(PATIENCE, driven).await.expect("it is closed").expect("no panic");
}

#[tokio::test]
async fn http2_connections_take_no_more_bytes_than_connections_may() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    // Room for two of them.
    let config = Config { max_connection_bytes: 500_000, ..Config::default() };
    let (server, _) = serve(&files, config).await;
    let (mut oldest, ended) = over_http2(&server, &authority).await;
    let mut kept = Vec::new();
    let live = oldest.send_request(request("/health/live", "")).await.expect("an answer");
    assert_eq!(live.status(), 200);
    for _ in 0..2 {
        let (mut other, driven) = over_http2(&server, &authority).await;
        let live = other.send_request(request("/health/live", "")).await.expect("an answer");
        assert_eq!(live.status(), 200);
        kept.push((other, driven));
    }
    let _ = timeout(PATIENCE, ended).await.expect("the oldest made place").expect("no panic");
    let (newest, driven) = kept.last_mut().expect("a connection");
    let live = newest.send_request(request("/health/live", "")).await.expect("an answer");
    assert!(live.status() == 200 && !driven.is_finished());
}

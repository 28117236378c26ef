//! A server in this process, and a client that sends exactly the given bytes.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;

use dataapi_core::{DialogStore, MemoryStore, RefKey, SystemClock};
use dataapi_server::{Config, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The body of a valid dialog.
pub(crate) const DIALOG: &str = r#"{"text":"t","language":"en"}"#;

/// A server on a free port. It ends with the runtime, or when it is dropped or stopped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<dyn DialogStore>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(store: Arc<dyn DialogStore>, config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // This is also ready when the server value is dropped.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve(Arc::clone(&store), config, listener, shutdown));
        Self { address, store, stop: Some(stop), serving }
    }

    pub(crate) async fn memory() -> Self {
        Self::start(memory(), Config::default()).await
    }

    /// Begins the shutdown.
    pub(crate) fn stop(&mut self) {
        self.stop.take();
    }

    /// Shuts the server down and waits until it has ended.
    pub(crate) async fn ended(mut self) {
        self.stop();
        self.serving.await.expect("no panic");
    }

    /// Opens a connection without sending anything.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    pub(crate) async fn ask(&self, method: &str, target: &str, body: &str) -> Answer {
        ask(self.address, method, target, "", body.as_bytes()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "").await
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Answer {
        self.ask("POST", target, body).await
    }

    /// Stores a dialog and records its customer's consent.
    pub(crate) async fn consented(&self, customer: &str, dialog: &str, language: &str, text: &str) {
        let body = serde_json::json!({"text": text, "language": language}).to_string();
        let answer = self.post(&format!("/data/{customer}/{dialog}"), &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(self.post(&format!("/consents/{dialog}"), "true").await.status, 200);
    }
}

pub(crate) fn memory() -> Arc<dyn DialogStore> {
    Arc::new(MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32])))
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).expect("an ASCII head");
        let mut lines = head.split("\r\n");
        let status = lines.next().expect("a status line");
        let status = status.split(' ').nth(1).expect("a status").parse().expect("a number");
        let headers = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    /// Checks what all problems have in common and returns the problem's type without its prefix.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        let kind = problem["type"].as_str().expect("a type");
        kind.strip_prefix("urn:dataapi:problem:").expect("a stable type").to_owned()
    }
}

/// Sends one request with this target and these headers, unchanged.
pub(crate) async fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &[u8],
) -> Answer {
    let length = body.len();
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\
         content-length: {length}\r\n\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    raw(address, &request).await
}

/// Sends these bytes and reads the answer until the connection ends.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut connection = TcpStream::connect(address).await.expect("a connection");
    connection.write_all(request).await.expect("a request sent");
    read(&mut connection).await
}

/// Reads an answer until the connection ends.
pub(crate) async fn read(connection: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).await.expect("an answer");
    Answer::parse(&bytes)
}

//! Connections to the server, and requests on them.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, HOST, RETRY_AFTER};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::attack::Transport;
use crate::outcome::Outcome;

/// The largest body that is kept, in bytes.
const MOST_KEPT: usize = 1 << 20;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How to reach the server.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    /// The address to connect from, if any will not do.
    pub(crate) from: Option<Ipv4Addr>,
    /// The bytes that the kernel may receive before they are read, if its default will not do.
    pub(crate) receive_buffer: Option<u32>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: bool,
    /// The body, or its beginning.
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(
        address: SocketAddr,
        transport: Transport,
        certificate: &Path,
    ) -> Outcome<Self> {
        let tls = match transport {
            Transport::Http => None,
            Transport::Tls => Some(connector(certificate, b"http/1.1")?),
            Transport::H2 => Some(connector(certificate, b"h2")?),
        };
        Ok(Self { address, tls, from: None, receive_buffer: None })
    }

    /// Opens a connection, without the TLS handshake.
    pub(crate) async fn tcp(&self) -> Outcome<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = self.from {
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Opens a connection, TLS handshake included.
    pub(crate) async fn connect(&self) -> Outcome<Box<dyn Stream>> {
        let stream = self.tcp().await?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        Ok(Box::new(tls.connect(ServerName::try_from("localhost")?, stream).await?))
    }

    /// Opens a connection for HTTP/1.1.
    pub(crate) async fn session(&self) -> Outcome<Session> {
        let stream = self.connect().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Session(sender))
    }

    /// Opens a connection for HTTP/2. Every stream together can receive 64 KiB that are not read.
    pub(crate) async fn streams(&self) -> Outcome<http2::SendRequest<String>> {
        let stream = self.connect().await?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn connector(certificate: &Path, protocol: &[u8]) -> Outcome<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    // Every connection makes the whole handshake, as those of different clients do.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config).into())
}

/// A connection with HTTP/1.1, for one request after the other.
pub(crate) struct Session(http1::SendRequest<String>);

impl Session {
    pub(crate) async fn get(&mut self, path: &str, key: Option<&str>) -> Outcome<Answer> {
        self.send(request(Method::GET, path, key, String::new())?).await
    }

    pub(crate) async fn post(&mut self, path: &str, key: &str, body: String) -> Outcome<Answer> {
        self.send(request(Method::POST, path, Some(key), body)?).await
    }

    async fn send(&mut self, request: Request<String>) -> Outcome<Answer> {
        self.0.ready().await?;
        let (head, mut body) = self.0.send_request(request).await?.into_parts();
        let mut kept = Vec::new();
        while let Some(chunk) = next_chunk(&mut body).await? {
            let room = MOST_KEPT - kept.len();
            kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        let retry_after = head.headers.contains_key(RETRY_AFTER);
        Ok(Answer { status: head.status.as_u16(), retry_after, body: kept })
    }
}

pub(crate) fn request(
    method: Method,
    path: &str,
    key: Option<&str>,
    body: String,
) -> Outcome<Request<String>> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    Ok(request.body(body)?)
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_chunk(body: &mut Incoming) -> Outcome<Option<Bytes>> {
    loop {
        let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await else {
            return Ok(None);
        };
        if let Ok(chunk) = frame?.into_data() {
            return Ok(Some(chunk));
        }
    }
}

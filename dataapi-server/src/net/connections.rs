//! Connections: accepts them, passes their requests to the service, and ends them in order.
//!
//! warp's own server waits for its connections without limit. This one has a time limit for sending, for reading, for
//! idle connections, and for the shutdown.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::net::peer::{FromPeer, Peer};
use crate::net::tls::{HTTP_2, Tls};

/// The maximum size of a head in bytes, and of what is read or written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// The maximum number of requests of one HTTP/2 connection that are answered at once.
const STREAMS: u32 = 128;

/// A service that answers requests, on any thread.
pub(crate) trait Answering:
    Service<
        Request<Incoming>,
        Response = Response<Self::Body>,
        Error: ConnectionError,
        Future: Send + 'static,
    > + Send
    + Sync
    + 'static
{
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: ConnectionError> + Send + 'static;
}

impl<S, B> Answering for S
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error: ConnectionError,
            Future: Send + 'static,
        >,
    S: Send + Sync + 'static,
    B: Body<Data = Bytes, Error: ConnectionError> + Send + 'static,
{
    type Body = B;
}

/// Why an answer ends early.
pub(crate) trait ConnectionError: std::error::Error + Send + Sync + 'static {}

impl<E: std::error::Error + Send + Sync + 'static> ConnectionError for E {}

/// The time limits of connections, and their maximum number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// The time limit for the TLS handshake, for an idle connection, and for the head of a request.
    pub(crate) head: Duration,
    /// How long a client can stop reading its answer.
    pub(crate) write: Duration,
    /// The maximum number of connections. Further ones wait until one ends.
    pub(crate) most: usize,
    /// The time limit for running requests after the shutdown began.
    pub(crate) grace: Duration,
}

/// Serves until `shutdown`, then finishes the running requests.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    service: impl Answering + Clone,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let protocols = Arc::new(Protocols::new(limits));
    let (stop, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept(), if connections.len() < limits.most => match accepted {
                Ok((stream, peer)) => {
                    let service = FromPeer { peer: Peer(peer.ip()), service: service.clone() };
                    let protocols = Arc::clone(&protocols);
                    let (tls, stopping) = (tls.clone(), stopping.clone());
                    connections.spawn(async move {
                        if let Err(error) = protocols.serve(stream, tls, service, stopping).await {
                            tracing::debug!(error, "a connection ended early");
                        }
                    });
                }
                Err(error) => after_refused_accept(error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop((listener, stop));
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closed the connections that did not end in time"
        );
    }
    connections.shutdown().await;
}

/// The settings of each protocol.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    limits: ConnectionLimits,
}

impl Protocols {
    fn new(limits: ConnectionLimits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(BUFFER_BYTES)
            // A client can close its half of the connection after its request and still wait for the answer.
            .half_close(true);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(BUFFER_BYTES.try_into().unwrap_or(u32::MAX))
            .initial_connection_window_size(1 << 20)
            .initial_stream_window_size(1 << 18)
            .keep_alive_interval(limits.head)
            .keep_alive_timeout(limits.write);
        Self { http1, http2, limits }
    }

    /// Serves one connection until it ends.
    async fn serve(
        &self,
        stream: TcpStream,
        tls: Option<Arc<Tls>>,
        service: impl Answering,
        stopping: watch::Receiver<()>,
    ) -> Result<(), String> {
        // An answer is one small write, so waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write));
        let stream = Box::pin(stream);
        let Some(tls) = tls else {
            return self.speak_http1(stream, service, stopping).await;
        };
        let agreed = tokio::time::timeout(self.limits.head, tls.acceptor().accept(stream)).await;
        let stream = match agreed {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(late) => return Err(late.to_string()),
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => self.speak_http2(stream, service, stopping).await,
            _ => self.speak_http1(stream, service, stopping).await,
        }
    }

    async fn speak_http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        service: impl Answering,
        mut stopping: watch::Receiver<()>,
    ) -> Result<(), String> {
        let mut connection = pin!(self.http1.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
            _ = stopping.changed() => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await.map_err(|error| error.to_string())
    }

    async fn speak_http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        service: impl Answering,
        mut stopping: watch::Receiver<()>,
    ) -> Result<(), String> {
        let requests = Arc::new(Requests::default());
        let counting = Arc::clone(&requests);
        let service = service_fn(move |request| {
            let running = Requests::enter(&counting);
            let answer = service.call(request);
            async move {
                let answer = answer.await;
                drop(running);
                answer
            }
        });
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => return ended.map_err(|error| error.to_string()),
            _ = stopping.changed() => {}
            () = requests.end(self.limits.head) => {}
        }
        connection.as_mut().graceful_shutdown();
        // A client that stops reading would hold its answers without limit.
        match tokio::time::timeout(self.limits.grace, connection).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(late) => Err(late.to_string()),
        }
    }
}

/// The number of requests of one connection that began and that ended.
#[derive(Default)]
struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

struct Running(Arc<Requests>);

impl Requests {
    fn enter(requests: &Arc<Self>) -> Running {
        requests.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(requests))
    }

    /// Waits until no request has begun or run for the time `idle`, or for up to twice that. Nothing else ends an idle
    /// HTTP/2 connection whose client answers pings.
    async fn end(&self, idle: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(idle).await;
            let ended = self.ended.load(Ordering::Relaxed);
            if before == self.begun.load(Ordering::Relaxed) && before == ended {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Logs a failed accept and pauses for a moment. Ignores clients that gave up while they waited; any other failure,
/// such as no free file descriptor, passes only when connections end.
async fn after_refused_accept(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "cannot accept a connection");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

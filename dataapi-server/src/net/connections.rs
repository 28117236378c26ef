//! Connections: from the listener to the service, and to an orderly end.
//!
//! warp's own server waits for its connections for ever, whether they send, read or neither; this one
//! gives each of that its time, and the end as well.

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

use crate::net::tls::{HTTP_2, Tls};

/// The most bytes of a head, and what is read or written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// How many requests of one HTTP/2 connection are answered at once.
const STREAMS: u32 = 128;

/// What answers the requests of connections, on any thread.
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
    /// What it sends.
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

/// Why an answer ends before its time.
pub(crate) trait ConnectionError: std::error::Error + Send + Sync + 'static {}

impl<E: std::error::Error + Send + Sync + 'static> ConnectionError for E {}

/// How long a connection may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// To send the head of a request, to be idle before it, and to agree on TLS.
    pub(crate) head: Duration,
    /// To take some more of an answer.
    pub(crate) write: Duration,
    /// How many there are at most; others wait until one ends.
    pub(crate) most: usize,
    /// To finish what runs after the shutdown began.
    pub(crate) grace: Duration,
}

/// Serves until `shutdown`, then finishes what runs.
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
                Ok((stream, _)) => {
                    let (protocols, service) = (Arc::clone(&protocols), service.clone());
                    let (tls, stopping) = (tls.clone(), stopping.clone());
                    connections.spawn(async move {
                        if let Err(error) = protocols.serve(stream, tls, service, stopping).await {
                            tracing::debug!(error, "a connection broke off");
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
        tracing::warn!(connections = connections.len(), "cut what did not end in time");
    }
    connections.shutdown().await;
}

/// How each protocol is spoken.
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
            // A client that has said all it has to say may close its half and still wait for the answer.
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

    /// Serves one connection to its end.
    async fn serve(
        &self,
        stream: TcpStream,
        tls: Option<Arc<Tls>>,
        service: impl Answering,
        stopping: watch::Receiver<()>,
    ) -> Result<(), String> {
        // An answer is one small write: waiting to fill a packet only delays it.
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
        // A client that takes nothing more would hold its answers for ever.
        match tokio::time::timeout(self.limits.grace, connection).await {
            Ok(ended) => ended.map_err(|error| error.to_string()),
            Err(late) => Err(late.to_string()),
        }
    }
}

/// The requests of one connection.
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

    /// Ready once none has begun or run for that time, or up to twice that: a connection over HTTP/2 has
    /// no other end as long as its client answers pings.
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

/// A client that gave up while it waited is no matter; running out of file descriptors is, and
/// passes only when connections end.
async fn after_refused_accept(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

//! Connections: from the listener to the service, and to an orderly end.
//!
//! warp's own server waits for its connections for ever, whether they send or not; this one gives
//! a head its time, and the end as well.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How long a connection may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// To send the head of a request, and to be idle before it.
    pub(crate) head: Duration,
    /// How many there are at most; others wait until one ends.
    pub(crate) most: usize,
    /// To finish what runs after the shutdown began.
    pub(crate) grace: Duration,
}

/// Serves until `shutdown`, then finishes what runs.
pub(crate) async fn run<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error: std::error::Error + Send + Sync>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    // A client that has said all it has to say may close its half and still wait for the answer.
    http.half_close(true);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept(), if connections.len() < limits.most => match accepted {
                Ok((stream, _)) => {
                    // An answer is one small write: waiting to fill a packet only delays it.
                    let _ = stream.set_nodelay(true);
                    let connection = http.serve_connection(TokioIo::new(stream), service.clone());
                    connections.spawn(graceful.watch(connection).map(|ended| {
                        if let Err(error) = ended {
                            tracing::debug!(%error, "a connection broke off");
                        }
                    }));
                }
                Err(error) => after_refusal(error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut what did not end in time");
    }
    connections.shutdown().await;
}

/// A client that gave up while it waited is no matter; running out of file descriptors is, and
/// passes only when connections end.
async fn after_refusal(error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::error!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

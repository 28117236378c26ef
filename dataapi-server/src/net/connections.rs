//! Connections: accepts them, passes their requests to the service, and ends them in order.
//!
//! warp's own server waits for its connections without limit. This one has a limit on their number and on what they
//! hold (`places`), and time limits for reading, for sending, for idle connections and for the shutdown.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{Either, ready};
use http::header::CONNECTION;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::metrics::ConnectionMetrics;
use crate::net::arrival::Arrival;
use crate::net::client::{Client, Stream};
use crate::net::linger::{has_more, linger};
use crate::net::listeners::Listeners;
use crate::net::places::{NoPlace, PeerKind, Place, PlaceLimits, Places};
use crate::net::sending::{Running, Sending};
use crate::net::socket::{HEAD_BYTES, Socket};
use crate::net::standing::{Call, Times, at, millis, now};
use crate::net::tls::{HTTP_2, Tls};
use crate::net::trusted_proxies::TrustedProxies;

/// The maximum number of requests of one HTTP/2 connection that are answered at once.
const STREAMS: u32 = 128;

/// What counts for a connection that has sent nothing.
const SILENT_BYTES: usize = 4 * 1024;

/// What counts for HTTP/1 in addition: its buffers, and one request.
const HTTP_1_BYTES: usize = 20 * 1024;

/// What counts for TLS in addition: its session, and a record that has not come whole.
const TLS_BYTES: usize = 24 * 1024;

/// What counts for HTTP/2 in addition: its buffers and tables, a list of headers that has not come whole, and bodies
/// that nobody has read yet.
const HTTP_2_BYTES: usize = 160 * 1024;

/// What counts for a request over HTTP/2, and for each of its headers, in addition to their text.
const REQUEST_BYTES: usize = 8 * 1024;
const HEADER_BYTES: usize = 128;

/// How many bytes a client may send over HTTP/2 before the server reads them.
const WINDOW: u32 = 128 * 1024;

/// How long a client may take to agree to the end of an HTTP/2 connection that has no request.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often failures to accept connections are logged.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(1);

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
    type Body: Body<Data = Bytes, Error: ConnectionError> + Send + Unpin + 'static;
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
    B: Body<Data = Bytes, Error: ConnectionError> + Send + Unpin + 'static,
{
    type Body = B;
}

/// Why an answer ends early.
pub(crate) trait ConnectionError: std::error::Error + Send + Sync + 'static {}

impl<E: std::error::Error + Send + Sync + 'static> ConnectionError for E {}

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered<E> {
    #[error("no room is left for requests")]
    NoRoom,
    #[error(transparent)]
    Failed(E),
}

/// The limits of connections.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) places: PlaceLimits,
    pub(crate) times: Times,
    /// The time limit for running requests after the shutdown began.
    pub(crate) grace: Duration,
    /// The peers that the limit for each address does not hold for.
    pub(crate) proxies: TrustedProxies,
    pub(crate) metrics: ConnectionMetrics,
}

/// Serves until `shutdown`, then finishes the running requests.
pub(crate) async fn run(
    mut listeners: Listeners,
    tls: Option<Arc<Tls>>,
    service: impl Answering + Clone,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let protocols = Arc::new(Protocols::new(limits.times));
    let places = Places::new(limits.places, limits.metrics);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    // A connection that has no place yet.
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    let mut complained = None;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listeners.accept(), if waiting.is_none() => match accepted {
                Ok(accepted) => waiting = Some(accepted),
                Err(error) => after_refused_accept(&error, &places, &mut complained).await,
            },
            () = places.freed(), if waiting.is_some() => {}
            Some(_) = connections.join_next() => {}
        }
        let Some((stream, peer)) = waiting.take() else { continue };
        let of = if limits.proxies.contain(peer.ip()) { PeerKind::Proxy } else { PeerKind::Client };
        match places.take(peer.ip(), of, SILENT_BYTES) {
            Ok(place) => {
                let (protocols, service) = (Arc::clone(&protocols), service.clone());
                let tls = tls.clone();
                connections.spawn(async move {
                    let address = peer.ip();
                    if let Err(error) = protocols.serve(stream, address, place, tls, service).await
                    {
                        tracing::debug!(error, "a connection ended early");
                    }
                });
            }
            Err(NoPlace::Yet) => waiting = Some((stream, peer)),
            Err(NoPlace::ForThisAddress) => {}
        }
    }
    drop(listeners);
    places.stop();
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "closed the connections that did not end in time"
        );
    }
    connections.shutdown().await;
}

/// Why a connection stops being watched before it has ended.
enum Ended {
    Called(Call),
    Late,
}

/// The settings of each protocol.
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    times: Times,
}

impl Protocols {
    fn new(times: Times) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // It would also end idle connections.
            .header_read_timeout(None)
            .max_buf_size(HEAD_BYTES)
            // A client can close its half of the connection after its request and still wait for the answer.
            .half_close(true);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES.try_into().unwrap_or(u32::MAX))
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW)
            .keep_alive_interval(times.head)
            .keep_alive_timeout(times.write);
        Self { http1, http2, times }
    }

    /// Serves one connection until it ends.
    async fn serve(
        &self,
        stream: TcpStream,
        address: IpAddr,
        place: Place,
        tls: Option<Arc<Tls>>,
        service: impl Answering,
    ) -> Result<(), String> {
        // An answer is one small write, so waiting to fill a packet would only delay it.
        let _ = stream.set_nodelay(true);
        let place = Arc::new(place);
        // A client that sends nothing needs no buffers.
        match self.watch(&place, pin!(stream.readable())).await {
            Ok(readable) => readable.map_err(|error| error.to_string())?,
            Err(_) => return Ok(()),
        }
        let (client, stream) = Client::connected(stream, address);
        let (socket, given_back) = Socket::new(stream, Arc::clone(&place), tls.is_some());
        // Boxed, so that a connection takes only the memory of the protocol that it speaks.
        let ended = Box::pin(self.speak(socket, &place, client, tls, service)).await;
        if let Ok(mut stream) = given_back.await
            && (ended.is_err() || place.has_unread() || has_more(&mut stream))
        {
            let mut lingering = pin!(linger(stream));
            poll_fn(|context| match place.poll_call(context) {
                Some(Call::Leave) => Poll::Ready(()),
                _ => lingering.as_mut().poll(context),
            })
            .await;
        }
        ended
    }

    /// Speaks the protocol that the client chooses.
    async fn speak(
        &self,
        socket: Socket<Stream>,
        place: &Arc<Place>,
        client: Client,
        tls: Option<Arc<Tls>>,
        service: impl Answering,
    ) -> Result<(), String> {
        let charge = |bytes| {
            if place.charge(bytes) {
                Ok(())
            } else {
                Err("no room is left for connections".to_owned())
            }
        };
        let Some(tls) = tls else {
            charge(HTTP_1_BYTES)?;
            return Box::pin(self.speak_http1(socket, place, client, service)).await;
        };
        charge(TLS_BYTES)?;
        let agreed = self.watch(place, pin!(tls.acceptor().accept(socket))).await;
        let stream = match agreed {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("the TLS handshake was not finished".to_owned()),
        };
        place.has_shaken_hands();
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            place.becomes_multiplexed();
            charge(HTTP_2_BYTES)?;
            Box::pin(self.speak_http2(stream, place, client, service)).await
        } else {
            charge(HTTP_1_BYTES)?;
            Box::pin(self.speak_http1(stream, place, client, service)).await
        }
    }

    async fn speak_http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        place: &Arc<Place>,
        client: Client,
        service: impl Answering,
    ) -> Result<(), String> {
        let service = counted(place, client, service);
        let mut connection = pin!(self.http1.serve_connection(TokioIo::new(stream), service));
        let mut watched = self.watch(place, connection.as_mut()).await;
        let goes_on = match watched {
            Err(Ended::Called(Call::Stop)) => !place.is_idle(),
            Err(Ended::Called(Call::Leave)) => !place.is_dispensable(),
            _ => false,
        };
        if goes_on {
            connection.as_mut().graceful_shutdown();
            watched = self.watch_on(place, connection).await;
        }
        // What is idle or late has nothing more to say.
        watched.unwrap_or(Ok(())).map_err(|error| error.to_string())
    }

    async fn speak_http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        place: &Arc<Place>,
        client: Client,
        service: impl Answering,
    ) -> Result<(), String> {
        let service = counted(place, client, service);
        let mut connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        match self.watch(place, connection.as_mut()).await {
            Ok(ended) => return ended.map_err(|error| error.to_string()),
            Err(Ended::Late) if !place.is_idle() => return Ok(()),
            Err(Ended::Called(Call::Leave)) if !place.is_authorised() && place.is_dispensable() => {
                return Ok(());
            }
            Err(_) => {}
        }
        connection.as_mut().graceful_shutdown();
        loop {
            let was_idle = place.is_idle();
            match tokio::time::timeout(FAREWELL, connection.as_mut()).await {
                Ok(ended) => return ended.map_err(|error| error.to_string()),
                Err(_) if was_idle || place.due(&self.times) <= now() => return Ok(()),
                Err(_) => {}
            }
        }
    }

    /// Runs a part of a connection until it ends, has to end, or is late.
    async fn watch<F: Future>(&self, place: &Place, part: Pin<&mut F>) -> Result<F::Output, Ended> {
        self.watched(place, part, true).await
    }

    /// Does the same for a connection that knows that it has to end.
    async fn watch_on<F: Future>(
        &self,
        place: &Place,
        part: Pin<&mut F>,
    ) -> Result<F::Output, Ended> {
        self.watched(place, part, false).await
    }

    async fn watched<F: Future>(
        &self,
        place: &Place,
        mut part: Pin<&mut F>,
        listens: bool,
    ) -> Result<F::Output, Ended> {
        let times = &self.times;
        // Over HTTP/2 a request can end without this task, so the time is looked at again after the shortest limit.
        let heartbeat = millis(times.head.min(times.idle).min(times.write));
        let mut alarm = now() + heartbeat;
        let mut sleep = pin!(sleep_until(at(alarm).into()));
        poll_fn(|context| {
            if let Poll::Ready(output) = part.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if listens && let Some(call) = place.poll_call(context) {
                return Poll::Ready(Err(Ended::Called(call)));
            }
            loop {
                let due = place.due(times);
                if due < alarm {
                    alarm = due;
                    sleep.as_mut().reset(at(alarm).into());
                }
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                let now = now();
                if place.due(times) <= now {
                    place.is_late();
                    return Poll::Ready(Err(Ended::Late));
                }
                alarm = now + heartbeat;
                sleep.as_mut().reset(at(alarm).into());
            }
        })
        .await
    }
}

/// Notes each request and its answer at the place of its connection, and tells each request where it came from.
fn counted<S: Answering>(
    place: &Arc<Place>,
    client: Client,
    service: S,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Sending<S::Body>>,
    Error: ConnectionError,
    Future: Send + 'static,
> + use<S> {
    let place = Arc::clone(place);
    service_fn(move |mut request: Request<Incoming>| {
        let is_multiplexed = place.is_multiplexed();
        let bytes = if is_multiplexed { held_by(&request) } else { 0 };
        let Some(running) = Running::begin(&place, bytes) else {
            return Either::Left(ready(Err(Unanswered::<S::Error>::NoRoom)));
        };
        Arrival::note(&mut request, &client, &place);
        // An async block would hold the answer's future twice: before it is polled and while it is.
        Either::Right(service.call(request).map(move |answer| {
            let mut answer = answer.map_err(Unanswered::Failed)?;
            if is_multiplexed {
                // HTTP/2 has no such header: only the request ends.
                answer.headers_mut().remove(CONNECTION);
            } else if answer.headers().contains_key(CONNECTION) {
                running.leaves_unread();
            }
            Ok(answer.map(|body| Sending::new(body, running)))
        }))
    })
}

/// Returns about how many bytes a request over HTTP/2 holds.
fn held_by<B>(request: &Request<B>) -> usize {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        HEADER_BYTES + name.as_str().len() + value.len()
    };
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    REQUEST_BYTES + target + request.headers().iter().map(header).sum::<usize>()
}

/// Pauses after a failed accept. Ignores clients that gave up while they waited; any other failure, such as no free
/// file descriptor, passes when a connection ends.
async fn after_refused_accept(
    error: &io::Error,
    places: &Places,
    complained: &mut Option<Instant>,
) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    if complained.is_none_or(|before: Instant| before.elapsed() >= COMPLAINT_PERIOD) {
        *complained = Some(Instant::now());
        tracing::error!(%error, "cannot accept a connection");
    }
    places.end_one();
    places.freed().await;
}

//! Turns one request into one answer: request id, route, key, time limit, handler, log and metrics. A request that
//! fails or panics gets an answer and a log line too.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use futures_util::{FutureExt, Stream, TryStreamExt};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::time::timeout;
use tracing::Level;
use uuid::{NoContext, Timestamp, Uuid};
use warp::{Filter, Rejection};

use crate::api::answer::Answer;
use crate::auth::access_log::AccessEntry;
use crate::auth::origin;
use crate::auth::reach::CallerReach;
use crate::metrics;
use crate::net::body::{BrokeOff, Chunks, RequestBody};
use crate::net::peer::Peer;
use crate::problem::Problem;
use crate::request::{Request, RequestHead};
use crate::router::{Found, Needs, Time};
use crate::state::State;

/// Answers are data: a browser must not run anything in them or show them in a frame.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The only filter. It takes a request apart and never rejects it: routing works on the raw path, in which `%2F` is
/// still part of an id.
pub(crate) fn filter(
    state: Arc<State>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone {
    warp::method()
        .and(warp::ext::get::<Uri>())
        .and(warp::ext::get::<Peer>())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream().map(chunks))
        .then(move |method, target: Uri, Peer(peer), headers, body| {
            let state = Arc::clone(&state);
            // Without the box, each layer around it would move its kilobytes, and each idle connection would reserve
            // memory for them.
            Box::pin(async move {
                answer(&state, RequestHead { method, target, peer, headers }, body).await
            })
        })
}

/// Puts the target of a request where [`filter`] finds it. warp's own filter for whole paths panics on a target without
/// a path, as in CONNECT, and its filter for queries rejects a target without a query.
pub(crate) fn keep_target<B>(request: &mut http::Request<B>) {
    let target = request.uri().clone();
    request.extensions_mut().insert(target);
}

fn chunks<S, B>(
    body: S,
) -> Chunks<impl Stream<Item = Result<Bytes, BrokeOff>> + Send + Unpin + 'static>
where
    S: Stream<Item = Result<B, warp::Error>> + Send + Unpin + 'static,
    B: Buf,
{
    Chunks::new(
        body.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining())).map_err(|_| BrokeOff),
    )
}

async fn answer(state: &State, head: RequestHead, body: impl RequestBody) -> Response<Bytes> {
    let started = Instant::now();
    let request_id = request_id(&head.headers);
    let in_flight = state.metrics.enter();
    let found = Found::at(head.target.path());
    // A panic concerns only this request: the store leaves nothing half done, and the request changes nothing else that
    // outlives it.
    let mut access = AccessEntry::default();
    let handling = handle(state, found, &head, body, &mut access);
    let outcome = AssertUnwindSafe(handling).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        let problem = Problem::internal("a handler panicked");
        Err(if head.method.is_safe() { problem } else { problem.in_a_write() })
    });
    // The answer to a write must not be refused for lack of memory, and a cached page is in memory anyway.
    let outcome = outcome.and_then(|response| {
        if head.method == Method::GET && response.body().is_unique() {
            let (parts, body) = response.into_parts();
            Ok(Response::from_parts(parts, state.buffers.hold(body)?))
        } else {
            Ok(response)
        }
    });
    let (mut response, cause) = match outcome {
        Ok(response) => (response, None),
        Err(mut problem) => {
            let cause = problem.take_cause();
            (problem.into_response(), cause)
        }
    };
    drop(in_flight);

    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if state.is_encrypted {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    let method = metrics::method_label(&head.method);
    let answered = Answered {
        request_id: request_id.to_str().unwrap_or_default(),
        method,
        route: found.map_or(metrics::NO_ROUTE, |found| found.template()),
        status: response.status(),
        took: started.elapsed(),
    };
    answered.log(cause.as_deref());
    access.end(answered.request_id, method, answered.route, answered.status);
    let latency = found.map(|found| found.index);
    state.metrics.answered(latency, answered.route, method, answered.status, answered.took);
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// Checks the path, the method, what proxies say, the origin and the key, then calls the handler, which checks the query, the ids and the
/// body. The first of them that is wrong is reported.
async fn handle(
    state: &State,
    found: Option<Found<'_>>,
    head: &RequestHead,
    mut body: impl RequestBody,
    access: &mut AccessEntry,
) -> Answer {
    let found = found.ok_or_else(Problem::no_such_route)?;
    let route = found.route(&head.method);
    let route = route.ok_or_else(|| Problem::method_not_allowed(found.allowed()))?;
    let forwarded = &state.trusted_proxies.read(head.peer, &head.headers)?;
    let reach = match route.needs {
        Needs::Key(role) => {
            let own = state.own_origin(forwarded);
            origin::check(&head.target, &head.headers, own, &state.cors_origins)?;
            access.begin(state.log_access);
            access.peer(&*state.store, forwarded.client);
            let reach = state.keyring.check(&head.headers, role, &*state.clock, access)?;
            CallerReach::new(reach)
        }
        Needs::Nothing => CallerReach::default(),
    };
    let Found { prefix, parameters, .. } = found;
    let body = &mut body;
    let request = Request { state, prefix, reach, parameters, head, forwarded, body, access };
    let answering = route.answer(request);
    if route.time == Time::Own {
        return answering.await;
    }
    match timeout(state.answer_timeout, answering).await {
        Ok(outcome) if route.writes() => outcome.map_err(Problem::in_a_write),
        Ok(outcome) => outcome,
        Err(late) if route.writes() => Err(Problem::unknown_outcome(late)),
        Err(late) => Err(Problem::unavailable(late, Duration::from_secs(1))),
    }
}

/// Returns the client's own id for the request if it is fit for a log, otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        (1..=128).contains(&id.len())
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
        // `Uuid::now_v7` would take a lock that all threads share, for its counter of ids of one moment.
        let mut buffer = Uuid::encode_buffer();
        let fresh = Uuid::new_v7(Timestamp::now(NoContext)).hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(fresh).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// A request in the log. It never has the path, the query or the body.
struct Answered<'a> {
    request_id: &'a str,
    method: &'static str,
    route: &'static str,
    status: StatusCode,
    took: Duration,
}

impl Answered<'_> {
    fn log(&self, cause: Option<&(dyn Error + Send + Sync)>) {
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    request_id = self.request_id,
                    method = self.method,
                    route = self.route,
                    status = self.status.as_u16(),
                    micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
                    cause = cause.map(|cause| tracing::field::display(WithCauses(cause))),
                    "answered"
                )
            };
        }
        // An event's level must be a constant.
        match self.status.as_u16() {
            503 => event!(Level::WARN),
            500.. => event!(Level::ERROR),
            _ => event!(Level::DEBUG),
        }
    }
}

/// Shows an error with its chain of causes.
struct WithCauses<'a>(&'a (dyn Error + Send + Sync));

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

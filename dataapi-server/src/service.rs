//! Turns one request into one answer: request id, route, key, time limit, handler, log and metrics. A request that
//! fails or panics gets an answer and a log line too.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use dataapi_core::Reach;
use futures_util::{FutureExt, Stream, TryStreamExt};
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HeaderName, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tracing::Level;
use uuid::{NoContext, Timestamp, Uuid};
use warp::{Filter, Rejection};

use crate::api::answer::Answer;
use crate::auth::access_log::{AccessEntry, Asked, OpenEntry};
use crate::auth::host;
use crate::auth::keyring::STALE;
use crate::auth::origin;
use crate::auth::reach::CallerReach;
use crate::compression;
use crate::metrics;
use crate::net::arrival::Arrival;
use crate::net::body::{self, BrokeOff, Chunks, RequestBody};
use crate::net::shares::{Holder, Share};
use crate::problem::Problem;
use crate::request::{Request, RequestHead};
use crate::router::{Found, Needs, Time};
use crate::state::State;

/// Answers are data: a browser must not run anything in them or show them in a frame.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// No page of another origin can show an answer or run it. A page that CORS allows to read answers still can.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The only filter. It takes a request apart and never rejects it: routing works on the raw path, in which `%2F` is
/// still part of an id.
pub(crate) fn filter(
    state: Arc<State>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone {
    warp::method()
        .and(warp::ext::get::<Arrival>())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream().map(chunks))
        .then(move |method, arrival: Arrival, headers, mut body| {
            let (state, started) = (Arc::clone(&state), Instant::now());
            let Arrival { version, target, client, place } = arrival;
            let head = RequestHead { started, method, version, target, headers, client, place };
            // Without the box, each layer around it would move its kilobytes, and each idle connection would reserve
            // memory for them. What it borrows is in it once, what it passes on would be in it twice.
            Box::pin(async move { answer(&state, &head, &mut body).await })
        })
}

/// Whether a request names the host that it is sent to, as it must.
pub(crate) fn names_a_host<B>(request: &http::Request<B>) -> bool {
    host::named(request.version(), request.uri(), request.headers()).is_ok()
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

async fn answer(state: &State, head: &RequestHead, body: &mut impl RequestBody) -> Response<Bytes> {
    let request_id = request_id(&head.headers);
    let in_flight = state.metrics.enter();
    let found = Found::at(head.target.path());
    let asked = Asked {
        request_id: request_id.to_str().unwrap_or_default(),
        method: metrics::method_label(&head.method),
        route: found.map_or(metrics::NO_ROUTE, |found| found.template()),
    };
    let mut access = OpenEntry::new(state.access_log.as_ref(), asked);
    // A panic concerns only this request: the store leaves nothing half done, and the request changes nothing else that
    // outlives it.
    let mut share = None;
    let outcome = {
        let entry = &mut access.entry;
        let handling = pin!(handle(state, found, head, body, entry, &mut share, asked));
        AssertUnwindSafe(handling).catch_unwind().await
    };
    let outcome = outcome.unwrap_or_else(|_| {
        let problem = Problem::internal("a handler panicked");
        Err(if head.method.is_safe() { problem } else { problem.in_a_write() })
    });
    let outcome = match outcome {
        // The room of the answer to a write was reserved together with that of its body.
        Ok(response) if head.method.is_safe() => {
            let share = share.as_ref().unwrap_or_else(|| head.client.share(&state.shares));
            compression::held(state, share, head, response).await
        }
        outcome => outcome,
    };
    let (mut response, cause) = match outcome {
        Ok(response) => (response, None),
        Err(mut problem) => {
            let cause = problem.take_cause();
            (problem.into_response(), cause)
        }
    };
    if let Err(lost) = access.end(response.status()) {
        response = Problem::not_logged(lost).into_response();
    }
    drop(in_flight);
    if let Some(place) = &head.place
        && state.keyring.is_open()
        && response.status().as_u16() < 400
    {
        place.authorise();
    }

    let is_whole = body::is_whole(body).await;
    let headers = response.headers_mut();
    if !is_whole {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if state.is_encrypted {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
    let answered = Answered { asked, status: response.status(), took: head.started.elapsed() };
    answered.log(cause.as_deref());
    let latency = found.map(|found| found.index);
    state.metrics.answered(latency, asked.route, asked.method, answered.status, answered.took);
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}

/// Checks the host, the path, the method, what proxies say, the origin and the key, then calls the handler, which checks
/// the query, the ids and the body. The first of them that is wrong is reported.
async fn handle(
    state: &State,
    found: Option<Found<'_>>,
    head: &RequestHead,
    body: &mut impl RequestBody,
    access: &mut AccessEntry,
    share: &mut Option<Arc<Share>>,
    asked: Asked<'_>,
) -> Answer {
    if head.method.is_safe() {
        // It would be held until the answer.
        body::is_whole(body).await;
    }
    let host = host::named(head.version, &head.target, &head.headers)?;
    let forwarded = &state.trusted_proxies.read(head.client.address(), &head.headers)?;
    let own = state.own_origin(forwarded);
    if state.keyring.is_open() {
        host::check_without_keys(host, &head.target, &head.headers, own, &state.cors_origins)?;
    }
    let found = found.ok_or_else(Problem::no_such_route)?;
    let route = found.route(&head.method);
    let route = route.ok_or_else(|| Problem::method_not_allowed(found.allowed()))?;
    let (role, reach) = match route.needs {
        Needs::Key(role) => {
            access.begin(state.access_log.is_some());
            access.peer(&*state.store, forwarded.client);
            origin::check(&head.target, &head.headers, own, &state.cors_origins)?;
            let allowed = state.keyring.check(&head.headers, role, &*state.clock, access)?;
            *share = allowed.share;
            if let Some(place) = &head.place {
                place.authorise();
            }
            access.admit(route.is_for_data());
            (Some(role), allowed.reach)
        }
        Needs::Nothing => (None, Reach::default()),
    };
    let Found { prefix, parameters, .. } = found;
    let proxied;
    let share = match share {
        Some(share) => &*share,
        None if forwarded.client == head.client.address() => head.client.share(&state.shares),
        None => {
            proxied = state.shares.of(Holder::Network(forwarded.client.into()));
            &proxied
        }
    };
    let reach = &CallerReach::new(reach);
    let request = Request {
        state,
        prefix,
        role,
        reach,
        share,
        parameters,
        head,
        forwarded,
        body,
        access,
        asked,
    };
    let answering = pin!(route.answer(request));
    let outcome = if route.time == Time::Own {
        answering.await
    } else {
        match within(state.answer_timeout, answering).await {
            Ok(outcome) if route.writes() => outcome.map_err(Problem::in_a_write),
            Ok(outcome) => outcome,
            Err(late) if route.writes() => Err(Problem::unknown_outcome(late)),
            Err(late) => Err(Problem::unavailable(late, Duration::from_secs(1))),
        }
    };
    // A write has happened, and its answer says so. A read that took long tells nothing to a key that was revoked since.
    if let Some(role) = role
        && !route.writes()
        && head.started.elapsed() >= STALE
    {
        state.keyring.check_again(&head.headers, role, reach.for_store(), &*state.clock)?;
    }
    outcome
}

/// Waits for an answer for as long as `limit`. Most answers are ready at once and need no timer.
async fn within(
    limit: Duration,
    mut answering: Pin<&mut impl Future<Output = Answer>>,
) -> Result<Answer, Elapsed> {
    match poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => timeout(limit, answering).await,
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
    asked: Asked<'a>,
    status: StatusCode,
    took: Duration,
}

impl Answered<'_> {
    fn log(&self, cause: Option<&(dyn Error + Send + Sync)>) {
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    request_id = self.asked.request_id,
                    method = self.asked.method,
                    route = self.asked.route,
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

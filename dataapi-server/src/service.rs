//! From one request to one answer: who asked (its id), what was asked (its route), and what came
//! of it (log and metrics), whatever happens in between.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use dataapi_core::{Clock, CustomerId, DialogStore, Reach};
use futures_util::{FutureExt, Stream, TryStreamExt};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::Level;
use uuid::{NoContext, Timestamp, Uuid};
use warp::{Filter, Rejection};

use crate::access::Access;
use crate::body::{BrokeOff, Chunks, Limits};
use crate::buffers::Buffers;
use crate::docs::Docs;
use crate::handlers::{changes, consents, customers, dialogs, operations};
use crate::keyring::Keyring;
use crate::metrics::{self, Metrics};
use crate::problem::Problem;
use crate::ready_pages::ReadyPages;
use crate::routes::{Operation, Path};
use crate::{Config, body, dto, openapi, query};

/// Answers are data: nothing in them is to be run, and no page to be put around them.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What every request needs.
pub(crate) struct Service {
    pub(crate) store: Arc<dyn DialogStore>,
    pub(crate) max_text_bytes: usize,
    pub(crate) hold_early_decisions: Option<Duration>,
    pub(crate) ready_pages: ReadyPages,
    pub(crate) keyring: Keyring,
    log_access: bool,
    clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) docs: Docs,
    pub(crate) openapi: Bytes,
    body_limits: Limits,
    answer_timeout: Duration,
    buffers: Buffers,
    cors_origins: Vec<HeaderValue>,
    is_encrypted: bool,
    /// A place for each request for data that is answered.
    places: Semaphore,
}

/// The one filter: it takes a request apart and never rejects, since routing is done on the raw
/// path, where `%2F` is still part of an id.
pub(crate) fn filter(
    service: Arc<Service>,
) -> impl Filter<Extract = (Response<Bytes>,), Error = Rejection> + Clone {
    warp::method()
        .and(warp::ext::get::<Uri>())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream().map(chunks))
        .then(move |method, target: Uri, headers, body| {
            let service = Arc::clone(&service);
            // Each layer around it would move its kilobytes, and each idle connection keep room for them.
            Box::pin(async move { service.answer(Request { method, target, headers }, body).await })
        })
}

/// Lays the target of a request where [`filter`] finds it: warp's own filter of whole paths panics
/// on a target that has none, which CONNECT has, and its filter of queries rejects where there is
/// no query.
pub(crate) fn keep_target<B>(request: &mut http::Request<B>) {
    let target = request.uri().clone();
    request.extensions_mut().insert(target);
}

fn chunks<S, B>(body: S) -> impl Chunks
where
    S: Stream<Item = Result<B, warp::Error>> + Send + Unpin + 'static,
    B: Buf,
{
    body.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining())).map_err(|_| BrokeOff)
}

/// A request but for its body.
struct Request {
    method: Method,
    target: Uri,
    headers: HeaderMap,
}

impl Service {
    pub(crate) fn new(store: Arc<dyn DialogStore>, config: &Config) -> Self {
        Self {
            store,
            max_text_bytes: config.max_text_bytes,
            hold_early_decisions: config.hold_early_decisions,
            ready_pages: ReadyPages::new(config.page_cache_bytes),
            keyring: Keyring::new(config.tokens.clone(), config.max_rate),
            log_access: config.log_access,
            clock: Arc::clone(&config.clock),
            metrics: Metrics::new(),
            docs: Docs::new(),
            openapi: openapi::document(),
            body_limits: Limits::new(config.max_text_bytes, config.body_timeout),
            answer_timeout: config.answer_timeout,
            buffers: Buffers::new(config.max_buffered_bytes),
            cors_origins: config.cors_origins.clone(),
            is_encrypted: config.tls.is_some(),
            places: Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS)),
        }
    }

    async fn answer(&self, request: Request, body: impl Chunks) -> Response<Bytes> {
        let started = Instant::now();
        let request_id = request_id(&request.headers);
        let in_flight = self.metrics.enter();
        let path = Path::find(request.target.path());
        // A panic is this request's alone: the store leaves nothing half done, and nothing else
        // that outlives the request is changed under it.
        let mut access = Access::default();
        let handling = self.handle(path, &request, body, &mut access);
        let outcome = AssertUnwindSafe(handling).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|_| Err(Problem::internal("a handler panicked")));
        // What is done is done, and to be told; what is kept ready is in memory anyway.
        let outcome = outcome.and_then(|response| {
            if request.method == Method::GET && response.body().is_unique() {
                let (parts, body) = response.into_parts();
                Ok(Response::from_parts(parts, self.buffers.hold(body)?))
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
        if self.is_encrypted {
            let year = HeaderValue::from_static("max-age=31536000");
            headers.insert(STRICT_TRANSPORT_SECURITY, year);
        }
        let method = metrics::method_label(&request.method);
        let answered = Answered {
            request_id: request_id.to_str().unwrap_or_default(),
            method,
            route: path.map_or("none", |path| path.template.as_str()),
            status: response.status(),
            took: started.elapsed(),
        };
        answered.log(cause.as_deref());
        access.end(answered.request_id, method, answered.route, answered.status);
        let template = path.map(|path| path.template);
        self.metrics.answered(template, method, answered.status, answered.took);
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }

    /// Path, method, origin, key, query, ids, body: the first of them that is wrong is what is told.
    async fn handle(
        &self,
        path: Option<Path<'_>>,
        request: &Request,
        body: impl Chunks,
        access: &mut Access,
    ) -> Result<Response<Bytes>, Problem> {
        let path = path.ok_or_else(Problem::no_such_route)?;
        let operation = path
            .operation(&request.method)
            .ok_or_else(|| Problem::method_not_allowed(path.allowed()))?;
        let reach = match operation.role() {
            Some(role) => {
                self.check_origin(request)?;
                access.begin(self.log_access);
                self.keyring.check(&request.headers, role, &*self.clock, access)?
            }
            None => Reach::default(),
        };
        let is_waiting = matches!(operation, Operation::ReadChanges);
        let writes = operation.writes();
        let performing = self.perform(path, operation, request, body, reach, access);
        if is_waiting {
            return performing.await;
        }
        match timeout(self.answer_timeout, performing).await {
            Ok(outcome) => outcome,
            Err(late) if writes => Err(Problem::unknown_outcome(late)),
            Err(late) => Err(Problem::unavailable(late, Duration::from_secs(1))),
        }
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.places.try_acquire().map_err(|_| Problem::too_many_requests())
    }

    /// Without keys, a page in the browser of someone on this machine could decide and erase.
    fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        let Some(origin) = request.headers.get(ORIGIN) else { return Ok(()) };
        let place = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        // Over HTTP/2 it is part of the target.
        let host = match request.target.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers.get(HOST).and_then(|host| host.to_str().ok()),
        };
        let is_own = place.is_some_and(|(_, place)| Some(place) == host);
        if is_own || self.cors_origins.contains(origin) {
            Ok(())
        } else {
            Err(Problem::origin_refused())
        }
    }

    /// Query, ids, body, and what the operation does.
    async fn perform(
        &self,
        path: Path<'_>,
        operation: Operation<'_>,
        request: &Request,
        body: impl Chunks,
        reach: Reach,
        access: &mut Access,
    ) -> Result<Response<Bytes>, Problem> {
        let query = request.target.query().unwrap_or_default();
        if !operation.takes_query() {
            query::none(query)?;
        }
        let read = body::read(body, &request.headers, self.body_limits, &self.buffers);
        let _place = match operation {
            // These wait for their client or for an event, and need next to nothing meanwhile.
            Operation::InsertDialog { .. } | Operation::Decide { .. } | Operation::ReadChanges => {
                None
            }
            _ if operation.role().is_none() => None,
            _ => Some(self.place()?),
        };
        let store = &*self.store;
        match operation {
            Operation::QueryDialogs => {
                dialogs::query(self, path.prefix, query, reach, access).await
            }
            Operation::InsertDialog { customer, dialog } => {
                let (customer_id, dialog_id) = (customer.customer_id()?, dialog.dialog_id()?);
                access.dialog(store, &dialog_id);
                let (body, _room) = read.await?;
                let _place = self.place()?;
                let new = body::parse::<dto::NewDialog>(&body)?;
                let new = new.into_domain(customer_id, dialog_id, self.max_text_bytes)?;
                if !reach.covers(&new.customer_id, &new.language) {
                    return Err(Problem::out_of_reach());
                }
                dialogs::insert(self, path.prefix, new).await
            }
            Operation::ReadDialog { customer, dialog } => {
                let (customer_id, dialog_id) = (customer.customer_id()?, dialog.dialog_id()?);
                access.dialog(store, &dialog_id);
                dialogs::read(self, &customer_id, &dialog_id, &reach).await
            }
            Operation::EraseDialog { customer, dialog } => {
                let (customer_id, dialog_id) = (customer.customer_id()?, dialog.dialog_id()?);
                access.dialog(store, &dialog_id);
                reached(&reach, &customer_id)?;
                dialogs::erase(self, &customer_id, &dialog_id).await
            }
            Operation::Decide { dialog } => {
                let dialog_id = dialog.dialog_id()?;
                access.dialog(store, &dialog_id);
                let (body, _room) = read.await?;
                let _place = self.place()?;
                let decision = body::parse::<dto::Decision>(&body)?;
                let (decision, evidence) = decision.into_domain()?;
                consents::check_reach(self, &dialog_id, &reach).await?;
                consents::decide(self, dialog_id, decision, evidence).await
            }
            Operation::ReadConsent { dialog } => {
                let dialog_id = dialog.dialog_id()?;
                access.dialog(store, &dialog_id);
                consents::check_reach(self, &dialog_id, &reach).await?;
                consents::read(self, &dialog_id).await
            }
            Operation::ReadReceipt { dialog } => {
                let dialog_id = dialog.dialog_id()?;
                access.dialog(store, &dialog_id);
                consents::check_reach(self, &dialog_id, &reach).await?;
                consents::receipt(self, &dialog_id).await
            }
            Operation::ReadChanges => changes::read(self, query, &reach, access).await,
            Operation::ReadCustomerData { customer } => {
                let customer_id = customer.customer_id()?;
                access.customer(store, &customer_id);
                reached(&reach, &customer_id)?;
                let subject = query::subject_request(customer_id, query)?;
                customers::data(self, path.prefix, &subject).await
            }
            Operation::EraseCustomer { customer } => {
                let customer_id = customer.customer_id()?;
                access.customer(store, &customer_id);
                reached(&reach, &customer_id)?;
                customers::erase(self, &customer_id).await
            }
            // They count everybody's dialogs.
            Operation::ReadStats if !reach.is_all() => Err(Problem::out_of_reach()),
            Operation::ReadStats => operations::stats(self).await,
            Operation::Live => operations::live(),
            Operation::Ready => operations::ready(self).await,
            Operation::Metrics => operations::metrics(self).await,
            Operation::OpenApi => Ok(operations::openapi(self)),
            Operation::DocsEntrance => Ok(operations::docs_entrance(path.prefix)),
            Operation::DocsFile { file } => operations::docs_file(self, file.as_sent()),
        }
    }
}

fn reached(reach: &Reach, customer_id: &CustomerId) -> Result<(), Problem> {
    if reach.covers_customer(customer_id) { Ok(()) } else { Err(Problem::out_of_reach()) }
}

/// The client's own id for the request if it is fit for a log, else a fresh one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let fits = |id: &&HeaderValue| {
        (1..=128).contains(&id.len())
            && id
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    headers.get(REQUEST_ID).filter(fits).cloned().unwrap_or_else(|| {
        // The library's own counter of ids of one moment is behind one lock for all threads.
        let mut buffer = Uuid::encode_buffer();
        let fresh = Uuid::new_v7(Timestamp::now(NoContext)).hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(fresh).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// What the log says of a request: never its path, its query or its body.
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
                    cause = cause.map(|cause| tracing::field::display(Chain(cause))),
                    "answered"
                )
            };
        }
        // The level of an event is fixed where it stands.
        match self.status.as_u16() {
            503 => event!(Level::WARN),
            500.. => event!(Level::ERROR),
            _ => event!(Level::DEBUG),
        }
    }
}

/// An error with all that lies behind it.
struct Chain<'a>(&'a (dyn Error + Send + Sync));

impl fmt::Display for Chain<'_> {
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

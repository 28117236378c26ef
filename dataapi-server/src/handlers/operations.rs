//! What operators and tools look at: counts, health, metrics, and the API's own description.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;

use super::json;
use crate::dto;
use crate::metrics::{self, StoreSnapshot};
use crate::problem::Problem;
use crate::routes::Prefix;
use crate::service::Service;

/// How long a look at the store's health may take: whoever asks wants to know soon.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many dialogs there are in each state
#[utoipa::path(
    get,
    path = "/stats",
    tag = "operations",
    operation_id = "readStats",
    responses(
        (status = 200, description = "The counts", body = dto::Stats),
        (status = 400, description = "There is a query string"),
    )
)]
pub(crate) async fn stats(service: &Service) -> Result<Response<Bytes>, Problem> {
    json(&dto::Stats::from(service.store.stats().await?))
}

/// Whether the process answers
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operations",
    operation_id = "live",
    responses((status = 200, description = "It does", body = dto::Health))
)]
pub(crate) fn live() -> Result<Response<Bytes>, Problem> {
    json(&dto::Health { status: "ok" })
}

/// Whether the store serves reads and writes
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    operation_id = "ready",
    responses((status = 200, description = "It does", body = dto::Health))
)]
pub(crate) async fn ready(service: &Service) -> Result<Response<Bytes>, Problem> {
    match timeout(PATIENCE, service.store.ready()).await {
        Ok(Ok(())) => json(&dto::Health { status: "ok" }),
        // Whatever it is: not ready is what was asked.
        Ok(Err(error)) => Err(Problem::unavailable(error, PATIENCE)),
        Err(slow) => Err(Problem::unavailable(slow, PATIENCE)),
    }
}

/// Figures for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = metrics::CONTENT_TYPE))
)]
pub(crate) async fn metrics(service: &Service) -> Result<Response<Bytes>, Problem> {
    // A store that cannot count must not hide the figures that tell why.
    let stats = timeout(PATIENCE, service.store.stats()).await.ok().and_then(Result::ok);
    let snapshot = StoreSnapshot { stats, activity: service.store.activity() };
    let text = service.metrics.render(snapshot).map_err(Problem::internal)?;
    Ok(typed(text.into(), HeaderValue::from_static(metrics::CONTENT_TYPE)))
}

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(crate) fn openapi(service: &Service) -> Response<Bytes> {
    let body = service.openapi.clone();
    let mut response = typed(body, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The way to the page to read about the API and try it
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    operation_id = "docs",
    responses((status = 308, description = "It is at `/docs/`", headers(("Location" = String, description = "The relative URL of the page"))))
)]
pub(crate) fn docs_entrance(prefix: Prefix) -> Response<Bytes> {
    let location = match prefix {
        Prefix::Bare => "/docs/",
        Prefix::V1 => "/v1/docs/",
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
    response
}

/// The page to read about the API and try it
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "operations",
    operation_id = "docsFile",
    params(("file" = String, Path, description = "A file of the page; none for the page itself")),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/html"),
            (String = "text/css"),
            (String = "text/javascript"),
            ("image/png"),
        )),
        (status = 404, description = "The page has no such file"),
    )
)]
pub(crate) fn docs_file(service: &Service, file: &str) -> Result<Response<Bytes>, Problem> {
    service.docs.file(file)
}

fn typed(body: Bytes, content_type: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

//! Metrics for Prometheus.

use std::time::Duration;

use http::HeaderValue;
use http::header::VARY;
use tokio::time::timeout;

use crate::api::answer::{Answer, typed};
use crate::metrics::{Exposition, StoreSnapshot};
use crate::problem::Problem;
use crate::request::Request;

/// How long the store may take to count its dialogs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Read the metrics, for Prometheus
///
/// The answer is in Prometheus's text format 0.0.4, or in OpenMetrics if `Accept` prefers that. If the store does not
/// count its dialogs within 2 seconds, the answer comes without these counts.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain; version=0.0.4; charset=utf-8"),
        (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    )))
)]
pub(crate) async fn read_metrics(request: Request<'_>) -> Answer {
    let store = request.admit()?;
    // A store that cannot count must not hide the metrics that show why.
    let stats = timeout(PATIENCE, store.stats()).await.ok().and_then(Result::ok);
    let snapshot = StoreSnapshot { stats, activity: store.activity() };
    let format = Exposition::wanted(&request.head.headers);
    let text = request.state.metrics.render(snapshot, format).map_err(Problem::internal)?;
    let mut response = typed(text.into(), HeaderValue::from_static(format.content_type()));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

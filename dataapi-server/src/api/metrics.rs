//! Metrics for Prometheus.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::timeout;

use crate::api::answer::{Answer, typed};
use crate::metrics::{self, StoreSnapshot};
use crate::problem::Problem;
use crate::request::Request;

/// How long the store may take to count its dialogs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Read the metrics, for Prometheus
///
/// If the store does not count its dialogs within 2 seconds, the answer comes without these counts.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, description = "The metrics, as OpenMetrics text", body = String, content_type = metrics::CONTENT_TYPE))
)]
pub(crate) async fn read_metrics(request: Request<'_>) -> Answer {
    let store = request.admit()?;
    // A store that cannot count must not hide the metrics that show why.
    let stats = timeout(PATIENCE, store.stats()).await.ok().and_then(Result::ok);
    let snapshot = StoreSnapshot { stats, activity: store.activity() };
    let text = request.state.metrics.render(snapshot).map_err(Problem::internal)?;
    Ok(typed(text.into(), HeaderValue::from_static(metrics::CONTENT_TYPE)))
}

//! Figures for Prometheus.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::timeout;

use crate::api::answer::{Answer, typed};
use crate::metrics::{self, StoreSnapshot};
use crate::problem::Problem;
use crate::request::Request;

/// How long the store may take to count its dialogs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Figures for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operations",
    operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = metrics::CONTENT_TYPE))
)]
pub(crate) async fn read_metrics(request: Request<'_>) -> Answer {
    let store = request.admit()?;
    // A store that cannot count must not hide the figures that tell why.
    let stats = timeout(PATIENCE, store.stats()).await.ok().and_then(Result::ok);
    let snapshot = StoreSnapshot { stats, activity: store.activity() };
    let text = request.state.metrics.render(snapshot).map_err(Problem::internal)?;
    Ok(typed(text.into(), HeaderValue::from_static(metrics::CONTENT_TYPE)))
}

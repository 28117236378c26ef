//! Health checks, for orchestrators and load balancers. A busy server answers them too.

use std::time::Duration;

use dataapi_wire as wire;
use tokio::time::timeout;

use crate::api::answer::{Answer, json};
use crate::problem::Problem;
use crate::request::Request;

/// How long the check of the store may take. A later answer is of no use.
const PATIENCE: Duration = Duration::from_secs(2);

/// Check whether the process is alive
///
/// Does not look at the store. A busy server answers too.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operations",
    operation_id = "live",
    responses((status = 200, description = "The process answers", body = wire::Health))
)]
pub(crate) async fn live(_: Request<'_>) -> Answer {
    json(&wire::Health::OK)
}

/// Check whether the store can be read and written
///
/// Waits at most 2 seconds for the store. Any failure of the store is 503, and so is a server that is stopping.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    operation_id = "ready",
    responses((status = 200, description = "The store can be read and written", body = wire::Health))
)]
pub(crate) async fn ready(request: Request<'_>) -> Answer {
    let stopping = &request.state.stopping;
    if stopping.has_begun() {
        return Err(Problem::stopping());
    }
    let checked = tokio::select! {
        () = stopping.begun() => return Err(Problem::stopping()),
        checked = timeout(PATIENCE, request.state.store.ready()) => checked,
    };
    match checked {
        Ok(Ok(())) => json(&wire::Health::OK),
        // Whatever the error is, the store is not ready.
        Ok(Err(error)) => Err(Problem::unavailable(error, PATIENCE)),
        Err(slow) => Err(Problem::unavailable(slow, PATIENCE)),
    }
}

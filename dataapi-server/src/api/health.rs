//! Health checks, for orchestrators and load balancers. A busy server answers them too.

use dataapi_wire as wire;

use crate::api::answer::{Answer, json};
use crate::problem::Problem;
use crate::request::Request;
use crate::state::State;

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
    let State { readiness, store, .. } = request.state;
    tokio::select! {
        () = stopping.begun() => Err(Problem::stopping()),
        checked = readiness.check(store) => {
            checked?;
            json(&wire::Health::OK)
        }
    }
}

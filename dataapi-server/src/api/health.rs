//! Health, for programs that start servers and send them requests. It is answered even by a server that is
//! busy.

use std::time::Duration;

use dataapi_wire as wire;
use tokio::time::timeout;

use crate::api::answer::{Answer, json};
use crate::problem::Problem;
use crate::request::Request;

/// How long a look at the store's health may take: an answer that comes late is of no use.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the process answers
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "operations",
    operation_id = "live",
    responses((status = 200, description = "It does", body = wire::Health))
)]
pub(crate) async fn live(_: Request<'_>) -> Answer {
    json(&wire::Health::OK)
}

/// Whether the store serves reads and writes
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "operations",
    operation_id = "ready",
    responses((status = 200, description = "It does", body = wire::Health))
)]
pub(crate) async fn ready(request: Request<'_>) -> Answer {
    match timeout(PATIENCE, request.state.store.ready()).await {
        Ok(Ok(())) => json(&wire::Health::OK),
        // Whatever it is: not ready is what was asked.
        Ok(Err(error)) => Err(Problem::unavailable(error, PATIENCE)),
        Err(slow) => Err(Problem::unavailable(slow, PATIENCE)),
    }
}

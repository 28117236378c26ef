//! Counts.

use dataapi_wire as wire;

use crate::api::answer::{Answer, json};
use crate::request::Request;

/// How many dialogs there are in each state
#[utoipa::path(
    get,
    path = "/stats",
    tag = "operations",
    operation_id = "readStats",
    responses(
        (status = 200, description = "The counts", body = wire::Stats),
        (status = 400, description = "There is a query string"),
    )
)]
pub(crate) async fn read_stats(request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    // They count everybody's dialogs.
    request.reach.covers_all()?;
    json(&wire::Stats::from(&store.stats().await?))
}

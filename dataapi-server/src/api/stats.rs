//! Counts of dialogs.

use dataapi_wire as wire;

use crate::api::answer::{Answer, json};
use crate::request::Request;

/// Count the dialogs in each state
///
/// Counts the dialogs of all customers, so a key that is bound to customers or languages gets 403.
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
    // The counts are of all dialogs.
    request.reach.covers_all()?;
    json(&wire::Stats::from(&store.stats().await?))
}

//! The ledger's events, for those who keep copies of what was exported or audit the chain.

use std::time::Duration;

use dataapi_core::Change;
use dataapi_wire as wire;
use tokio::time::{Instant, sleep};

use crate::api::answer::{Answer, json};
use crate::problem::Problem;
use crate::request::Request;

/// How often a request that waits looks for events.
const PERIOD: Duration = Duration::from_millis(200);

/// Follow what is decided and erased
///
/// The events of the consent ledger, in order, one for each grant, withdrawal, erasure and expiry. Ask
/// again `after` what `next` says; `wait` holds the answer back until there is an event.
/// A dialog is named by its `ref` only, unless `dialogs` asks for those that can be read: whoever
/// keeps an export brings it up to date with that. Each `hash` covers the event and the one before it.
#[utoipa::path(
    get,
    path = "/changes",
    tag = "consent",
    operation_id = "readChanges",
    params(
        ("after" = Option<String>, Query, pattern = r"^[0-9]{1,20}(\.[0-9]{1,20}){0,1023}$", description = "After which event to begin, as `next` tells: its position, with dots between those of several chains; 0 if left out"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 if left out"),
        ("dialogs" = Option<bool>, Query, description = "Whether each grant that still holds comes with its dialog; false if left out"),
        ("wait" = Option<String>, Query, pattern = r"^0*([0-9]|[1-5][0-9]|60)s?$", description = "For how long to wait for an event, up to 60 seconds", example = "30s"),
    ),
    responses(
        (status = 200, description = "The events, none if there are no more", body = wire::Changes<'_>),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds"),
    )
)]
pub(crate) async fn read_changes(request: Request<'_>) -> Answer {
    let asked = wire::changes_request(request.query()).map_err(Problem::bad_query)?;
    let wire::ChangesRequest { after, limit, dialogs, wait } = asked;
    if dialogs {
        request.access.with_dialogs();
    }
    // It waits for an event and needs next to nothing meanwhile, so it needs not be admitted.
    let store = &*request.state.store;
    let reach = request.reach.for_store();
    let started = Instant::now();
    let changes = loop {
        let changes = if dialogs {
            store.changes(&after, limit, reach).await?
        } else {
            let events = store.events(&after, limit).await?.into_iter();
            events.map(|event| Change { event, dialog: None }).collect()
        };
        if !changes.is_empty() || started.elapsed() >= wait {
            break changes;
        }
        sleep(PERIOD.min(wait)).await;
    };
    // Read last: it is never behind the events.
    let head = store.ledger_head().await?;
    let mut next = after;
    for change in &changes {
        next.pass(&change.event);
    }
    let events = changes.iter().map(wire::Event::from).collect();
    json(&wire::Changes { events, next, head: head.into() })
}

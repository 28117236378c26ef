//! The ledger's events, for clients that keep exports up to date or audit the chain.

use std::time::Duration;

use dataapi_core::Change;
use dataapi_wire as wire;
use tokio::time::{Instant, timeout};

use crate::api::answer::{Answer, json};
use crate::problem::Problem;
use crate::request::Request;

/// How often a waiting request looks for events.
const PERIOD: Duration = Duration::from_millis(200);

/// Follow decisions and erasures
///
/// Returns the events of the consent ledger in order: each grant, withdrawal, erasure and expiry (`expired`: retention
/// erased a dialog, either because its consent did not come in time or because a consented dialog was kept long
/// enough). For the next events, send `next` as `after`; with `wait`, the answer comes as soon as there is an event.
///
/// An event names its dialog only by `ref`, a keyed hash. With `dialogs=true`, each grant that still holds comes with
/// its dialog, so that a client can keep an export up to date. Each `hash` covers the event and the hash of the event
/// before it. A key that is bound to customers or languages gets every event, but dialogs only within its bounds.
#[utoipa::path(
    get,
    path = "/changes",
    tag = "consent",
    operation_id = "readChanges",
    params(
        ("after" = Option<String>, Query, pattern = r"^[0-9]{1,20}(\.[0-9]{1,20}){0,1023}$", description = "The position of the last event that the client has, as `next` returned it; the positions of several chains are separated by dots. 0, the start, if left out"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "Maximum number of events; 100 if left out"),
        ("dialogs" = Option<bool>, Query, description = "Whether each grant that still holds comes with its dialog; false if left out"),
        ("wait" = Option<String>, Query, pattern = r"^0*([0-9]|[1-5][0-9]|60)s?$", description = "How long to wait for an event if there is none yet, up to 60 seconds; 0 if left out", example = "30s"),
    ),
    responses(
        (status = 200, description = "The events; none if there are no more", body = wire::Changes<'_>),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read_changes(request: Request<'_>) -> Answer {
    let asked = wire::changes_request(request.query()).map_err(Problem::bad_query)?;
    let wire::ChangesRequest { after, limit, dialogs, wait } = asked;
    if dialogs {
        request.access.with_dialogs();
    }
    // A waiting request needs hardly any resources, so it does not count as one of the requests at once.
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
        let stopping = &request.state.stopping;
        if !changes.is_empty() || started.elapsed() >= wait || stopping.has_begun() {
            break changes;
        }
        let _ = timeout(PERIOD.min(wait), stopping.begun()).await;
    };
    // It is read last, so it is never behind the events.
    let head = store.ledger_head().await?;
    let mut next = after;
    for change in &changes {
        next.pass(&change.event);
    }
    let events = changes.iter().map(wire::Event::from).collect();
    json(&wire::Changes { events, next, head: head.into() })
}

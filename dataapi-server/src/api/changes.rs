//! The ledger's events, for clients that keep exports up to date or audit the chain.

use std::time::Duration;

use dataapi_core::Change;
use dataapi_wire as wire;
use tokio::time::{Instant, timeout};

use crate::api::answer::{Answer, List, send};
use crate::problem::Problem;
use crate::ready_pages::ReadyPage;
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
/// before it.
///
/// A key that is bound to customers or languages gets every event, but dialogs only within its bounds, and notice,
/// method and locale only of grants that still hold for them. Where it may not see evidence, the event has
/// `evidence_hidden`. Its hash is then taken as given; each other hash can be computed from the one before.
///
/// The key is checked again while the request waits: a key that is revoked or expires meanwhile gets 401 and no event.
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
    let (list, changes, room) = loop {
        let list = List::of_few(request.asking())?;
        let found = if dialogs {
            store.changes_within(&after, limit, reach, list.allowance()).await
        } else {
            let events = store.events(&after, limit, reach).await;
            let change = |event| Change { event, dialog: None };
            events.map(|events| events.into_iter().map(change).collect())
        };
        let (changes, room) = list.read::<Vec<_>>(found)?;
        let stopping = &request.state.stopping;
        // A client that has closed its half only gets its answer all the same. Most have closed all.
        let is_over =
            started.elapsed() >= wait || stopping.has_begun() || request.head.client.has_left();
        if !changes.is_empty() || is_over {
            break (list, changes, room);
        }
        drop((list, room));
        let _ = timeout(PERIOD.min(wait), stopping.begun()).await;
        request.check_again()?;
    };
    // It is read last, so it is never behind the events.
    let head = store.ledger_head().await?;
    let mut next = after;
    for change in &changes {
        next.pass(&change.event);
    }
    let around = wire::Changes { events: Vec::new(), next, head: head.into() };
    let around = serde_json::to_vec(&around).map_err(Problem::internal)?;
    let rendering = list.render(changes, room, around, br#"{"events":["#.len());
    // Boxed, because every request moves as much memory as the handler that takes most of it.
    let (json, room) = Box::pin(rendering).await?;
    Ok(send(&request, ReadyPage { body: room.hold(json), link: None, encoded: None }))
}

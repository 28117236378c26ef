//! Consent: the decisions of customers, and their proofs.

use dataapi_core::{EarlyDecision, Evidence, Receipt, StoreError};
use dataapi_wire as wire;
use http::StatusCode;

use crate::api::answer::{Answer, json, json_in};
use crate::request::Request;

/// Record the customer's decision on a dialog
///
/// `true` grants consent and makes the dialog readable. `false` withdraws or refuses consent and erases the dialog. The
/// same decision sent again gets the first receipt. Nothing undoes a withdrawal or an erasure.
///
/// After a withdrawal nobody can tell whose dialog it was. A key that is bound to customers or languages then gets the
/// receipt without notice, method and locale, unless they are those that it sends.
///
/// If the server holds early decisions (`--hold-early-decisions`), it also takes a decision on a dialog that it has not
/// received yet. A held grant makes the dialog readable when it is received, if that happens in time. A held withdrawal
/// refuses the dialog permanently.
#[utoipa::path(
    post,
    path = "/consents/{dialogId}",
    tag = "consent",
    operation_id = "decide",
    params(("dialogId" = wire::Id, Path, description = "The id of the dialog")),
    request_body = wire::Decision,
    responses(
        (status = 200, description = "The decision is recorded, on disk", body = wire::Receipt<'_>),
        (status = 202, description = "The decision is held until the dialog is received, on disk", body = wire::HeldDecision<'_>),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 404, description = "There is no such dialog, or the key's bounds exclude it. If the server holds early decisions, a key without bounds gets 202 for an unknown dialog instead"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "The decision is a grant, but the dialog was withdrawn or erased before"),
        (status = 413, description = "The body is too large, as it is sent or decoded"),
        (status = 415, description = "The body has a content coding other than gzip and zstd, or several"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn decide(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let dialog_id = request.dialog()?;
    let (body, room) = request.body().await?;
    let store = request.admit()?;
    let (decision, evidence) = wire::body::parse::<wire::Decision>(&body)?.into_domain()?;
    let shown = request.reach.covers_decision(&*store, &dialog_id).await?;
    let sent = evidence.clone();
    let answer = |room, receipt: Receipt| {
        let event = shown.of(receipt.event, &sent);
        json_in(room, &wire::Receipt::from(&Receipt { event, ..receipt }))
    };
    request.begin_write()?;
    let Some(hold_for) = request.state.hold_early_decisions else {
        return answer(room, store.decide(dialog_id, decision, evidence).await?);
    };
    match store.decide_early(dialog_id, decision, evidence, hold_for).await? {
        EarlyDecision::Recorded(receipt) => answer(room, receipt),
        EarlyDecision::Held(held) => {
            let mut response = json_in(room, &wire::HeldDecision::from(&held))?;
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
    }
}

/// Read the consent state of a dialog
///
/// Also answers for withdrawn and erased dialogs, from their tombstones. These name no customer and no language, so
/// every key with the role can read the state.
#[utoipa::path(
    get,
    path = "/consents/{dialogId}",
    tag = "consent",
    operation_id = "readConsent",
    params(("dialogId" = wire::Id, Path, description = "The id of the dialog")),
    responses(
        (status = 200, description = "The state, and its date", body = wire::ConsentStatus<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "There is no such dialog, its tombstone was removed, or the key's bounds exclude it"),
        (status = 422, description = "The id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read_consent(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let dialog_id = request.dialog()?;
    request.reach.covers_decision(&*store, &dialog_id).await?;
    json(&wire::ConsentStatus::from(&store.consent(&dialog_id).await?))
}

/// Read the proof of the last decision on a dialog
///
/// The proof is meant for the customer. Its members have the names of ISO/IEC TS 27560 where those apply. After an
/// erasure it proves the erasure.
///
/// The tombstone of a withdrawn or erased dialog names no customer and no language. A key that is bound to them gets
/// the proof without notice, language and method.
#[utoipa::path(
    get,
    path = "/consents/{dialogId}/receipt",
    tag = "consent",
    operation_id = "readReceipt",
    params(("dialogId" = wire::Id, Path, description = "The id of the dialog")),
    responses(
        (status = 200, description = "The proof", body = wire::ConsentReceipt<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "There is no such dialog or no decision on it yet, its tombstone was removed, or the key's bounds exclude it"),
        (status = 422, description = "The id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read_receipt(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let dialog_id = request.dialog()?;
    let shown = request.reach.covers_decision(&*store, &dialog_id).await?;
    let mut status = store.consent(&dialog_id).await?;
    status.event = status.event.map(|event| shown.of(event, &Evidence::default()));
    json(&wire::ConsentReceipt::new(&status).ok_or(StoreError::NotFound)?)
}

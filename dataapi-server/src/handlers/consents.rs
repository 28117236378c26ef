//! Consent: recorded by the chatbot when its customer answers.

use bytes::Bytes;
use dataapi_core::{ConsentState, Decision, DialogId, EarlyDecision, Evidence, Reach, StoreError};
use http::{Response, StatusCode};

use super::json;
use crate::dto;
use crate::problem::Problem;
use crate::service::Service;

/// Record what the customer decided on a dialog
///
/// *Yes* makes it readable, *no* erases it. The same decision again answers with the first
/// receipt. A withdrawal or an erasure is never undone.
///
/// Where the server holds early decisions (`--hold-early-decisions`), one on a dialog that was not
/// received yet is kept: *no* blocks the dialog for ever, *yes* makes it readable as it is received.
#[utoipa::path(
    post,
    path = "/consents/{dialogId}",
    tag = "consent",
    operation_id = "decide",
    params(("dialogId" = dto::Id, Path, description = "Which dialog")),
    request_body = dto::Decision,
    responses(
        (status = 200, description = "Recorded, on disk", body = dto::Receipt<'_>),
        (status = 202, description = "Held until the dialog is received, on disk", body = dto::HeldDecision<'_>),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 404, description = "There is no such dialog, and early decisions are not held"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "A yes after a withdrawal or an erasure"),
        (status = 413, description = "The body is too large"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn decide(
    service: &Service,
    dialog_id: DialogId,
    decision: Decision,
    evidence: Evidence,
) -> Result<Response<Bytes>, Problem> {
    let Some(hold_for) = service.hold_early_decisions else {
        let receipt = service.store.decide(dialog_id, decision, evidence).await?;
        return json(&dto::Receipt::from(&receipt));
    };
    match service.store.decide_early(dialog_id, decision, evidence, hold_for).await? {
        EarlyDecision::Recorded(receipt) => json(&dto::Receipt::from(&receipt)),
        EarlyDecision::Held(held) => {
            let mut response = json(&dto::HeldDecision::from(&held))?;
            *response.status_mut() = StatusCode::ACCEPTED;
            Ok(response)
        }
    }
}

/// See how a dialog stands
#[utoipa::path(
    get,
    path = "/consents/{dialogId}",
    tag = "consent",
    operation_id = "readConsent",
    params(("dialogId" = dto::Id, Path, description = "Which dialog")),
    responses(
        (status = 200, description = "How it stands, and since when", body = dto::ConsentStatus<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "The id was never used"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn read(
    service: &Service,
    dialog_id: &DialogId,
) -> Result<Response<Bytes>, Problem> {
    let status = service.store.consent(dialog_id).await?;
    json(&dto::ConsentStatus::from(&status))
}

/// Get the proof of the last decision, to be given to the customer
///
/// Its members are named after ISO/IEC TS 27560 as far as they apply. After an erasure it proves the
/// erasure.
#[utoipa::path(
    get,
    path = "/consents/{dialogId}/receipt",
    tag = "consent",
    operation_id = "readReceipt",
    params(("dialogId" = dto::Id, Path, description = "Which dialog")),
    responses(
        (status = 200, description = "The proof", body = dto::ConsentReceipt<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "The id was never used, or nothing is decided yet"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn receipt(
    service: &Service,
    dialog_id: &DialogId,
) -> Result<Response<Bytes>, Problem> {
    let status = service.store.consent(dialog_id).await?;
    let receipt = dto::ConsentReceipt::new(&status).ok_or(StoreError::NotFound)?;
    json(&receipt)
}

/// Finds only what a bound key reaches. A dialog that is gone has no customer and no language any more:
/// how it ended is told to whoever knows its id.
pub(crate) async fn check_reach(
    service: &Service,
    dialog_id: &DialogId,
    reach: &Reach,
) -> Result<(), Problem> {
    if reach.is_all() {
        return Ok(());
    }
    let is_held = match service.store.consent(dialog_id).await?.state {
        ConsentState::Pending | ConsentState::Granted => true,
        ConsentState::Withdrawn | ConsentState::Erased => false,
    };
    if is_held && !service.store.is_within(reach, dialog_id).await? {
        return Err(StoreError::NotFound.into());
    }
    Ok(())
}

//! Consent: recorded by the chatbot when its customer answers.

use dataapi_core::{EarlyDecision, StoreError};
use dataapi_wire as wire;
use http::StatusCode;

use crate::api::answer::{Answer, json};
use crate::request::Request;

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
    params(("dialogId" = wire::Id, Path, description = "Which dialog")),
    request_body = wire::Decision,
    responses(
        (status = 200, description = "Recorded, on disk", body = wire::Receipt<'_>),
        (status = 202, description = "Held until the dialog is received, on disk", body = wire::HeldDecision<'_>),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 404, description = "There is no such dialog, and early decisions are not held"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "A yes after a withdrawal or an erasure"),
        (status = 413, description = "The body is too large"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn decide(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let dialog_id = request.dialog()?;
    let (body, _room) = request.body().await?;
    let store = request.admit()?;
    let (decision, evidence) = wire::body::parse::<wire::Decision>(&body)?.into_domain()?;
    request.reach.covers_decision(&*store, &dialog_id).await?;
    let Some(hold_for) = request.state.hold_early_decisions else {
        let receipt = store.decide(dialog_id, decision, evidence).await?;
        return json(&wire::Receipt::from(&receipt));
    };
    match store.decide_early(dialog_id, decision, evidence, hold_for).await? {
        EarlyDecision::Recorded(receipt) => json(&wire::Receipt::from(&receipt)),
        EarlyDecision::Held(held) => {
            let mut response = json(&wire::HeldDecision::from(&held))?;
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
    params(("dialogId" = wire::Id, Path, description = "Which dialog")),
    responses(
        (status = 200, description = "How it stands, and since when", body = wire::ConsentStatus<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "The id was never used"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn read_consent(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let dialog_id = request.dialog()?;
    request.reach.covers_decision(&*store, &dialog_id).await?;
    json(&wire::ConsentStatus::from(&store.consent(&dialog_id).await?))
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
    params(("dialogId" = wire::Id, Path, description = "Which dialog")),
    responses(
        (status = 200, description = "The proof", body = wire::ConsentReceipt<'_>),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "The id was never used, or nothing is decided yet"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn read_receipt(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let dialog_id = request.dialog()?;
    request.reach.covers_decision(&*store, &dialog_id).await?;
    let status = store.consent(&dialog_id).await?;
    json(&wire::ConsentReceipt::new(&status).ok_or(StoreError::NotFound)?)
}

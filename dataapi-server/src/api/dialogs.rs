//! Dialogs: stored by the chatbot, read by the analyst.

use dataapi_core::{Invalid, StoreError};
use dataapi_wire as wire;
use http::StatusCode;
use http::header::LOCATION;

use crate::api::answer::{Answer, json, page, send};
use crate::problem::Problem;
use crate::request::Request;

/// Page through consented dialogs, newest first
///
/// `next` is the URL of the following page: following it to the end yields every dialog that was
/// consented at the start and stayed so exactly once, however many others come and go meanwhile.
#[utoipa::path(
    get,
    path = "/data/",
    tag = "dialogs",
    operation_id = "queryDialogs",
    params(wire::FilterParameters, wire::WindowParameters),
    responses(
        (status = 200, description = "A page", body = wire::Page<'_>, headers(("Link" = String, description = "The following page, rel=\"next\""))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds"),
    )
)]
pub(crate) async fn query_dialogs(mut request: Request<'_>) -> Answer {
    let (store, ready_pages) = (request.admit()?, &request.state.ready_pages);
    let reach = request.reach.for_store().clone();
    let asked = wire::page_request(request.query(), reach).map_err(Problem::bad_query)?;
    request.note_filter(asked.filter());
    let key = ready_pages.ask(&*store, request.prefix, asked);
    if let Some(ready) = ready_pages.find(&key) {
        return Ok(send(ready));
    }
    let asked = key.request();
    let found = store.query(asked).await.map_err(|error| match error {
        // What only the store can tell of a query is as wrong as what its text tells.
        StoreError::Invalid { field, reason } => Problem::bad_query(Invalid::new(field, reason)),
        other => other.into(),
    })?;
    let next = found.next.as_ref();
    let next = next.map(|next| wire::next_page_url(request.prefix.as_str(), asked, next));
    let ready = page(&wire::Page::new(&found, asked.window(), next.as_deref()))?;
    ready_pages.keep(&*store, key, ready.clone());
    Ok(send(ready))
}

/// Store a dialog, as pending unless its customer's yes came first
#[utoipa::path(
    post,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "insertDialog",
    params(
        ("customerId" = wire::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "Unique in the whole store"),
    ),
    request_body = wire::NewDialog,
    responses(
        (status = 201, description = "Stored, on disk", body = wire::Dialog<'_>, headers(("Location" = String, description = "The relative URL of the dialog"))),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "The id is taken; `same_content` tells whether by this very dialog"),
        (status = 410, description = "Withdrawn or erased before"),
        (status = 413, description = "The body is too large"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn insert_dialog(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let (customer_id, dialog_id) = request.customer_and_dialog()?;
    let (body, _room) = request.body().await?;
    let store = request.admit()?;
    let dialog = wire::body::parse::<wire::NewDialog>(&body)?;
    let dialog = dialog.into_domain(customer_id, dialog_id, request.state.max_text_bytes)?;
    request.reach.covers_dialog(&dialog)?;
    let received = store.insert(dialog.clone()).await?;
    let mut response = json(&wire::Dialog::received(&dialog, received))?;
    *response.status_mut() = StatusCode::CREATED;
    let (customer_id, dialog_id) = (dialog.customer_id.as_str(), dialog.dialog_id.as_str());
    let location = wire::dialog_url(request.prefix.as_str(), customer_id, dialog_id);
    response.headers_mut().insert(LOCATION, location.try_into().map_err(Problem::internal)?);
    Ok(response)
}

/// Read one consented dialog
#[utoipa::path(
    get,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "readDialog",
    params(
        ("customerId" = wire::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "Which dialog"),
    ),
    responses(
        (status = 200, description = "The dialog", body = wire::Dialog<'_>),
        (status = 400, description = "There is a query string"),
        (status = 403, description = "Its customer has not consented yet, or the key lacks the role 'read'"),
        (status = 404, description = "Absent, withdrawn, erased, or another customer's"),
        (status = 422, description = "An id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read_dialog(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let (customer_id, dialog_id) = request.customer_and_dialog()?;
    let dialog = store.dialog(&customer_id, &dialog_id, request.reach.for_store()).await?;
    json(&wire::Dialog::from(&dialog))
}

/// Erase one dialog
#[utoipa::path(
    delete,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "eraseDialog",
    params(
        ("customerId" = wire::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "Which dialog"),
    ),
    responses(
        (status = 200, description = "Erased", body = wire::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "Absent, already erased, or another customer's"),
        (status = 422, description = "An id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn erase_dialog(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let (customer_id, dialog_id) = request.customer_and_dialog()?;
    request.reach.covers_customer(&customer_id)?;
    store.erase_dialog(&customer_id, &dialog_id).await?;
    json(&wire::Erasure { erased: 1 })
}

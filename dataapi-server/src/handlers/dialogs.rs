//! Dialogs: stored by the chatbot, read by the analyst.

use bytes::Bytes;
use dataapi_core::{CustomerId, DialogId, NewDialog, Reach};
use http::header::LOCATION;
use http::{Response, StatusCode};

use super::{json, page, send};
use crate::access::Access;
use crate::dto;
use crate::problem::Problem;
use crate::query;
use crate::routes::Prefix;
use crate::service::Service;

/// Page through consented dialogs, newest first
///
/// `next` is the URL of the following page: following it to the end yields every dialog that was
/// consented at the start and stayed so exactly once, however many others come and go meanwhile.
#[utoipa::path(
    get,
    path = "/data/",
    tag = "dialogs",
    operation_id = "queryDialogs",
    params(
        ("language" = Option<dto::LanguageTag>, Query, description = "Only this language's; case does not matter", example = "en"),
        ("customerId" = Option<dto::Id>, Query, description = "Only this customer's"),
        ("customer_id" = Option<dto::Id>, Query, description = "The same as `customerId`"),
        ("from" = Option<String>, Query, format = DateTime, description = "Only those received then or later"),
        ("to" = Option<String>, Query, format = DateTime, description = "Only those received before"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 if left out"),
        ("offset" = Option<u64>, Query, format = "uint64", maximum = 18_446_744_073_709_551_615_usize, description = "How many to skip; not together with `cursor`. To read everything, follow `next` instead"),
        ("cursor" = Option<String>, Query, description = "Where to go on, out of `next`; belongs to its filter"),
        ("total" = Option<bool>, Query, description = "Whether to count all that match; true if left out"),
    ),
    responses(
        (status = 200, description = "A page", body = dto::Page<'_>, headers(("Link" = String, description = "The following page, rel=\"next\""))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds"),
    )
)]
pub(crate) async fn query(
    service: &Service,
    prefix: Prefix,
    query: &str,
    reach: Reach,
    access: &mut Access,
) -> Result<Response<Bytes>, Problem> {
    let store = &*service.store;
    let request = query::page_request(query, reach)?;
    access.filter(store, request.filter());
    let asked = service.ready_pages.ask(store, prefix, request);
    if let Some(ready) = service.ready_pages.find(&asked) {
        return Ok(send(ready));
    }
    let request = asked.request();
    let found = store.query(request).await?;
    let next = found.next.as_ref().map(|next| query::next_page_url(prefix, request, next));
    let ready = page(&dto::Page {
        items: found.items.iter().map(dto::Dialog::from).collect(),
        total: found.total,
        limit: request.window().limit.get(),
        offset: request.window().offset(),
        next: next.as_deref(),
    })?;
    service.ready_pages.keep(store, asked, ready.clone());
    Ok(send(ready))
}

/// Store a dialog, as pending unless its customer's yes came first
#[utoipa::path(
    post,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "insertDialog",
    params(
        ("customerId" = dto::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = dto::Id, Path, description = "Unique in the whole store"),
    ),
    request_body = dto::NewDialog,
    responses(
        (status = 201, description = "Stored, on disk", body = dto::Dialog<'_>, headers(("Location" = String, description = "The relative URL of the dialog"))),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "The id is taken; `same_content` tells whether by this very dialog"),
        (status = 410, description = "Withdrawn or erased before"),
        (status = 413, description = "The body is too large"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn insert(
    service: &Service,
    prefix: Prefix,
    dialog: NewDialog,
) -> Result<Response<Bytes>, Problem> {
    let received = service.store.insert(dialog.clone()).await?;
    let mut response = json(&dto::Dialog::received(&dialog, received))?;
    *response.status_mut() = StatusCode::CREATED;
    let location =
        query::dialog_url(prefix, dialog.customer_id.as_str(), dialog.dialog_id.as_str());
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
        ("customerId" = dto::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = dto::Id, Path, description = "Which dialog"),
    ),
    responses(
        (status = 200, description = "The dialog", body = dto::Dialog<'_>),
        (status = 400, description = "There is a query string"),
        (status = 403, description = "Its customer has not consented yet, or the key lacks the role 'read'"),
        (status = 404, description = "Absent, withdrawn, erased, or another customer's"),
        (status = 422, description = "An id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read(
    service: &Service,
    customer_id: &CustomerId,
    dialog_id: &DialogId,
    reach: &Reach,
) -> Result<Response<Bytes>, Problem> {
    let dialog = service.store.dialog(customer_id, dialog_id, reach).await?;
    json(&dto::Dialog::from(&dialog))
}

/// Erase one dialog
#[utoipa::path(
    delete,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "eraseDialog",
    params(
        ("customerId" = dto::Id, Path, description = "Whose dialog it is"),
        ("dialogId" = dto::Id, Path, description = "Which dialog"),
    ),
    responses(
        (status = 200, description = "Erased", body = dto::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "Absent, already erased, or another customer's"),
        (status = 422, description = "An id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn erase(
    service: &Service,
    customer_id: &CustomerId,
    dialog_id: &DialogId,
) -> Result<Response<Bytes>, Problem> {
    service.store.erase_dialog(customer_id, dialog_id).await?;
    json(&dto::Erasure { erased: 1 })
}

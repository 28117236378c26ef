//! Dialogs: the chatbot stores them, and analysts read those that were consented to.

use bytes::Bytes;
use dataapi_core::{Invalid, StoreError};
use dataapi_wire as wire;
use http::header::LOCATION;
use http::{Response, StatusCode};

use crate::api::answer::{Answer, List, ReadError, json, json_in, link, send};
use crate::problem::Problem;
use crate::ready_pages::{Asked, ReadyPages};
use crate::request::{Admitted, Request};

/// Page through consented dialogs, newest first
///
/// Returns only dialogs whose customers consented, and only those within the key's bounds. `next` is the URL of the
/// next page. Following it to the end returns every dialog that was consented at the start and stayed so exactly once,
/// even while others are added and erased.
#[utoipa::path(
    get,
    path = "/data/",
    tag = "dialogs",
    operation_id = "queryDialogs",
    params(wire::FilterParameters, wire::WindowParameters),
    responses(
        (status = 200, description = "A page", body = wire::Page<'_>, headers(("Link" = String, description = "The relative URL of the next page, with `rel=\"next\"`; absent on the last page"))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn query_dialogs(request: Request<'_>) -> Answer {
    let reading = match find_page(request)? {
        PageLookup::Ready(response) => return Ok(response),
        // Boxed, so that a page that is ready moves no memory for the reading of another one.
        PageLookup::Missing(missing) => Box::pin(read_page(missing)),
    };
    reading.await
}

/// A page that is ready, or what it takes to read it.
enum PageLookup<'r> {
    Ready(Response<Bytes>),
    Missing(MissingPage<'r>),
}

struct MissingPage<'r> {
    request: Request<'r>,
    store: Admitted<'r>,
    key: Asked,
}

fn find_page(mut request: Request<'_>) -> Result<PageLookup<'_>, Problem> {
    let (store, ready_pages) = (request.admit()?, &request.state.ready_pages);
    let reach = request.reach.for_store().clone();
    let asked = wire::page_request(request.query(), reach).map_err(Problem::bad_query)?;
    request.note_filter(asked.filter());
    let key = match request.forwarded.prefix {
        // `next` has a prefix that another request may not have.
        Some(_) => ReadyPages::ask_apart(request.prefix, asked),
        None => ready_pages.ask(&*store, request.prefix, asked),
    };
    Ok(match ready_pages.find(&key, request.wants_coding()) {
        Some(ready) => PageLookup::Ready(send(&request, ready)),
        None => PageLookup::Missing(MissingPage { request, store, key }),
    })
}

/// Reads a page and keeps it ready.
async fn read_page(MissingPage { request, store, key }: MissingPage<'_>) -> Answer {
    let asked = key.request();
    let list = List::of(request.asking(), asked.window().limit.get()).await?;
    let found = list.read(store.query_within(asked, list.allowance()).await);
    let (found, room) = found.map_err(|error| match error {
        // The store checks what the text of the query alone does not show. It is a bad query all the same.
        ReadError::Store(StoreError::Invalid { field, reason }) => {
            Problem::bad_query(Invalid::new(field, reason))
        }
        other => other.into(),
    })?;
    let next = found.next.as_ref();
    let next = next.map(|next| wire::next_page_url(&request.url_prefix(), asked, next));
    let (json, room) = list.page(found, room, asked.window(), next.as_deref()).await?;
    let ready_pages = &request.state.ready_pages;
    let ready = ready_pages.keep(&*store, key, json, link(next.as_deref())?, room);
    Ok(send(&request, ready))
}

/// Store a dialog
///
/// The dialog is pending, so nobody can read its text until the customer consents. If the server holds an early grant
/// for it, it is readable at once. A client that got no answer can send the same request again.
#[utoipa::path(
    post,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "insertDialog",
    params(
        ("customerId" = wire::Id, Path, description = "The id of the customer whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "The id of the dialog, unique in the whole store"),
    ),
    request_body = wire::NewDialog,
    responses(
        (status = 201, description = "The dialog is stored, on disk", body = wire::Dialog<'_>, headers(("Location" = String, description = "The relative URL of the dialog"))),
        (status = 400, description = "The body is not JSON, or there is a query string"),
        (status = 408, description = "The body did not arrive in time"),
        (status = 409, description = "The id is taken. If `same_content` is true, this dialog is already stored and the client is done"),
        (status = 410, description = "The dialog was withdrawn or erased before, or its customer refused consent before it came"),
        (status = 413, description = "The body is too large, as it is sent or decoded"),
        (status = 415, description = "The body has a content coding other than gzip and zstd, or several"),
        (status = 422, description = "A value is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn insert_dialog(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let (customer_id, dialog_id) = request.customer_and_dialog()?;
    let (body, mut room) = request.body().await?;
    let store = request.admit()?;
    let dialog = wire::body::parse::<wire::NewDialog>(&body)?;
    drop(body);
    let dialog = dialog.into_domain(customer_id, dialog_id, request.state.max_text_bytes)?;
    request.reach.covers_dialog(&dialog)?;
    // The store has the dialog until its commit, and the answer repeats it.
    room.grow(dialog.bytes_in_memory()).map_err(|_| Problem::no_room())?;
    request.begin_write()?;
    let received = store.insert(dialog.clone()).await?;
    let mut response = json_in(room, &wire::Dialog::received(&dialog, received))?;
    *response.status_mut() = StatusCode::CREATED;
    let (customer_id, dialog_id) = (dialog.customer_id.as_str(), dialog.dialog_id.as_str());
    let location = wire::dialog_url(&request.url_prefix(), customer_id, dialog_id);
    response.headers_mut().insert(LOCATION, location.try_into().map_err(Problem::internal)?);
    Ok(response)
}

/// Read one consented dialog
///
/// A dialog outside the key's bounds gets the same answer as one that does not exist.
#[utoipa::path(
    get,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "readDialog",
    params(
        ("customerId" = wire::Id, Path, description = "The id of the customer whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "The id of the dialog"),
    ),
    responses(
        (status = 200, description = "The dialog", body = wire::Dialog<'_>),
        (status = 400, description = "There is a query string"),
        (status = 403, description = "The customer has not consented yet, the key lacks the role `read`, or a web page of another origin sent the request"),
        (status = 404, description = "There is no such dialog, it was withdrawn or erased, it belongs to another customer, or the key's bounds exclude it"),
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
///
/// Erases a dialog in any state, pending ones too. A tombstone remains, which keeps the id taken.
#[utoipa::path(
    delete,
    path = "/data/{customerId}/{dialogId}",
    tag = "dialogs",
    operation_id = "eraseDialog",
    params(
        ("customerId" = wire::Id, Path, description = "The id of the customer whose dialog it is"),
        ("dialogId" = wire::Id, Path, description = "The id of the dialog"),
    ),
    responses(
        (status = 200, description = "The dialog is erased, on disk", body = wire::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 404, description = "There is no such dialog, it was withdrawn or erased before, or it belongs to another customer"),
        (status = 422, description = "An id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn erase_dialog(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let (customer_id, dialog_id) = request.customer_and_dialog()?;
    request.reach.covers_customer(&customer_id)?;
    request.begin_write()?;
    store.erase_dialog(&customer_id, &dialog_id).await?;
    json(&wire::Erasure { erased: 1 })
}

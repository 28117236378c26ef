//! The customer's rights: access, portability and erasure (GDPR articles 15, 17 and 20).

use dataapi_wire as wire;

use crate::api::answer::{Answer, List, json, link, send};
use crate::problem::Problem;
use crate::ready_pages::ReadyPage;
use crate::request::Request;

/// Read everything that is stored about one customer
///
/// Returns a page of the customer's dialogs, newest first, including pending ones: the answer to a subject access
/// request (GDPR articles 15 and 20). Give it to the customer only. Follow `next` for the rest.
#[utoipa::path(
    get,
    path = "/customers/{customerId}/data",
    tag = "customers",
    operation_id = "readCustomerData",
    params(
        ("customerId" = wire::Id, Path, description = "The id of the customer"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "Maximum number of dialogs on the page; 100 if left out"),
        ("offset" = Option<u64>, Query, format = "uint64", maximum = 18_446_744_073_709_551_615_usize, description = "Number of dialogs to skip; not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "Where to continue, taken from `next`"),
        ("total" = Option<bool>, Query, description = "Whether to count all dialogs that match; true if left out"),
    ),
    responses(
        (status = 200, description = "A page", body = wire::Page<'_>, headers(("Link" = String, description = "The relative URL of the next page, with `rel=\"next\"`; absent on the last page"))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds; `field` names it"),
        (status = 422, description = "The id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn read_customer_data(mut request: Request<'_>) -> Answer {
    let store = request.admit()?;
    let customer_id = request.customer()?;
    request.reach.covers_customer(&customer_id)?;
    let asked = wire::subject_request(customer_id, request.query()).map_err(Problem::bad_query)?;
    let list = List::of(request.asking(), asked.window().limit.get()).await?;
    let (found, room) = list.read(store.subject_data_within(&asked, list.allowance()).await)?;
    let next = found.next.as_ref();
    let next = next.map(|next| wire::next_subject_url(&request.url_prefix(), &asked, next));
    let rendering = list.page(found, room, asked.window(), next.as_deref());
    // Boxed, because every request moves as much memory as the handler that takes most of it.
    let (json, room) = Box::pin(rendering).await?;
    let link = link(next.as_deref())?;
    Ok(send(&request, ReadyPage { body: room.hold(json), link, encoded: None }))
}

/// Erase everything that is stored about one customer
///
/// Erases all dialogs of the customer, pending ones too (right to erasure, GDPR article 17). Only tombstones remain,
/// which do not name the customer.
#[utoipa::path(
    delete,
    path = "/customers/{customerId}",
    tag = "customers",
    operation_id = "eraseCustomer",
    params(("customerId" = wire::Id, Path, description = "The id of the customer")),
    responses(
        (status = 200, description = "The number of dialogs that were erased, on disk; 0 if there were none", body = wire::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 422, description = "The id is outside its bounds; `field` names it"),
    )
)]
pub(crate) async fn erase_customer(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let customer_id = request.customer()?;
    request.reach.covers_customer(&customer_id)?;
    request.begin_write()?;
    json(&wire::Erasure { erased: store.erase_customer(&customer_id).await? })
}

//! The rights of the customer whom the data is about (GDPR articles 15, 17 and 20).

use dataapi_wire as wire;

use crate::api::answer::{Answer, json, page, send};
use crate::problem::Problem;
use crate::request::Request;

/// Everything held on one customer, pending dialogs too, newest first
///
/// The customer's own copy: hand it to nobody else.
#[utoipa::path(
    get,
    path = "/customers/{customerId}/data",
    tag = "customers",
    operation_id = "readCustomerData",
    params(
        ("customerId" = wire::Id, Path, description = "Whose data"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 if left out"),
        ("offset" = Option<u64>, Query, format = "uint64", maximum = 18_446_744_073_709_551_615_usize, description = "How many to skip; not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "Where to go on, out of `next`"),
        ("total" = Option<bool>, Query, description = "Whether to count all; true if left out"),
    ),
    responses(
        (status = 200, description = "A page", body = wire::Page<'_>, headers(("Link" = String, description = "The following page, rel=\"next\""))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn read_customer_data(mut request: Request<'_>) -> Answer {
    let store = request.admit()?;
    let customer_id = request.customer()?;
    request.reach.covers_customer(&customer_id)?;
    let asked = wire::subject_request(customer_id, request.query()).map_err(Problem::bad_query)?;
    let found = store.subject_data(&asked).await?;
    let next = found.next.as_ref();
    let next = next.map(|next| wire::next_subject_url(request.prefix.as_str(), &asked, next));
    Ok(send(page(&wire::Page::new(&found, asked.window(), next.as_deref()))?))
}

/// Erase everything held on one customer
#[utoipa::path(
    delete,
    path = "/customers/{customerId}",
    tag = "customers",
    operation_id = "eraseCustomer",
    params(("customerId" = wire::Id, Path, description = "Whose data")),
    responses(
        (status = 200, description = "How many dialogs were erased; none is fine", body = wire::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn erase_customer(mut request: Request<'_>) -> Answer {
    request.takes_no_query()?;
    let store = request.admit()?;
    let customer_id = request.customer()?;
    request.reach.covers_customer(&customer_id)?;
    json(&wire::Erasure { erased: store.erase_customer(&customer_id).await? })
}

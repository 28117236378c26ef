//! The rights of the customer whom the data is about (GDPR articles 15, 17 and 20).

use bytes::Bytes;
use dataapi_core::{CustomerId, SubjectRequest};
use http::Response;

use super::{json, page, send};
use crate::dto;
use crate::problem::Problem;
use crate::query;
use crate::routes::Prefix;
use crate::service::Service;

/// Everything held on one customer, pending dialogs too, newest first
///
/// The customer's own copy: hand it to nobody else.
#[utoipa::path(
    get,
    path = "/customers/{customerId}/data",
    tag = "customers",
    operation_id = "readCustomerData",
    params(
        ("customerId" = dto::Id, Path, description = "Whose data"),
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 1000, description = "How many at most; 100 if left out"),
        ("offset" = Option<u64>, Query, format = "uint64", maximum = 18_446_744_073_709_551_615_usize, description = "How many to skip; not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "Where to go on, out of `next`"),
        ("total" = Option<bool>, Query, description = "Whether to count all; true if left out"),
    ),
    responses(
        (status = 200, description = "A page", body = dto::Page<'_>, headers(("Link" = String, description = "The following page, rel=\"next\""))),
        (status = 400, description = "A parameter is unknown, given twice, or outside its bounds"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn data(
    service: &Service,
    prefix: Prefix,
    request: &SubjectRequest,
) -> Result<Response<Bytes>, Problem> {
    let found = service.store.subject_data(request).await?;
    let next = found.next.as_ref().map(|next| query::next_subject_url(prefix, request, next));
    let page = page(&dto::Page {
        items: found.items.iter().map(dto::Dialog::from).collect(),
        total: found.total,
        limit: request.window().limit.get(),
        offset: request.window().offset(),
        next: next.as_deref(),
    })?;
    Ok(send(page))
}

/// Erase everything held on one customer
#[utoipa::path(
    delete,
    path = "/customers/{customerId}",
    tag = "customers",
    operation_id = "eraseCustomer",
    params(("customerId" = dto::Id, Path, description = "Whose data")),
    responses(
        (status = 200, description = "How many dialogs were erased; none is fine", body = dto::Erasure),
        (status = 400, description = "There is a query string"),
        (status = 422, description = "The id is outside its bounds"),
    )
)]
pub(crate) async fn erase(
    service: &Service,
    customer_id: &CustomerId,
) -> Result<Response<Bytes>, Problem> {
    let erased = service.store.erase_customer(customer_id).await?;
    json(&dto::Erasure { erased })
}

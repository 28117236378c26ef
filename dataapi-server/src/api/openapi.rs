//! Serves the API's description.

use http::HeaderValue;
use http::header::CACHE_CONTROL;

use crate::api::answer::{Answer, file, typed};
use crate::request::Request;

/// Read this description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    operation_id = "openapi",
    responses((status = 200, description = "This description, as OpenAPI 3.1", body = Object))
)]
pub(crate) async fn read_description(request: Request<'_>) -> Answer {
    let description = &request.state.openapi;
    let content_type = "application/json";
    let mut response = match &request.forwarded.prefix {
        Some(prefix) => match description.kept_under(prefix.as_str()) {
            Some(kept) => file(&kept, content_type),
            None => {
                typed(description.under(prefix.as_str()), HeaderValue::from_static(content_type))
            }
        },
        None => file(description.own(), content_type),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

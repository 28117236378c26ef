//! What each route does once its request is understood; each carries its part of the API's
//! description.

pub(crate) mod consents;
pub(crate) mod customers;
pub(crate) mod dialogs;
pub(crate) mod operations;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::dto;
use crate::problem::Problem;

fn json(document: &impl Serialize) -> Result<Response<Bytes>, Problem> {
    let body = serde_json::to_vec(document).map_err(Problem::internal)?;
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A page, with the way to the next one where every HTTP client finds it.
fn page(page: &dto::Page<'_>) -> Result<Response<Bytes>, Problem> {
    let mut response = json(page)?;
    if let Some(next) = page.next {
        let link = format!("<{next}>; rel=\"next\"");
        response.headers_mut().insert(LINK, link.try_into().map_err(Problem::internal)?);
    }
    Ok(response)
}

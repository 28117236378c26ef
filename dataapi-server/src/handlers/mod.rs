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
    let mut body = Vec::with_capacity(page.bytes_to_render());
    // With SIMD: 0.6 of the time that serde_json takes for a page of texts.
    sonic_rs::to_writer(&mut body, page).map_err(Problem::internal)?;
    // What is kept or waits to be sent is bounded by its length.
    body.shrink_to_fit();
    Ok(ReadyPage { body: body.into(), link: link.transpose().map_err(Problem::internal)? })
}

fn send(ReadyPage { body, link }: ReadyPage) -> Response<Bytes> {
    let mut response = json_response(body);
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use dataapi_core::{Date, NewDialog, Received, Text};

    use super::*;

    #[test]
    fn a_rendered_page_holds_no_more_memory_than_its_bytes() {
        let dialog = NewDialog {
            dialog_id: "d".parse().unwrap(),
            customer_id: "c".parse().unwrap(),
            language: "en".parse().unwrap(),
            text: Text::parse("long ".repeat(200_000), usize::MAX).unwrap(),
        };
        let received = Received { date: Date::from_micros(0).unwrap(), is_consented: true };
        let dialog = dto::Dialog::received(&dialog, received);
        let page = dto::Page { items: vec![dialog], total: None, limit: 1, offset: 0, next: None };
        let body = super::page(&page).unwrap().body;
        let length = body.len();
        assert_eq!(body.try_into_mut().unwrap().capacity(), length);
    }
}

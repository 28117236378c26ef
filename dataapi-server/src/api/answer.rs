//! Renders the answers of the handlers.

use bytes::Bytes;
use dataapi_wire as wire;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::problem::Problem;
use crate::ready_pages::ReadyPage;

/// The result of a handler.
pub(crate) type Answer = Result<Response<Bytes>, Problem>;

pub(crate) fn json(document: &impl Serialize) -> Answer {
    Ok(json_response(serde_json::to_vec(document).map_err(Problem::internal)?.into()))
}

fn json_response(body: Bytes) -> Response<Bytes> {
    typed(body, HeaderValue::from_static("application/json"))
}

pub(crate) fn typed(body: Bytes, content_type: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Renders a page, with the URL of the next page for the header `Link` as well.
pub(crate) fn page(page: &wire::Page<'_>) -> Result<ReadyPage, Problem> {
    let link = page.next.as_ref().map(|next| format!("<{next}>; rel=\"next\"").try_into());
    let mut body = Vec::with_capacity(page.bytes_to_render());
    // It uses SIMD and takes 0.6 of the time of serde_json for a page of texts.
    sonic_rs::to_writer(&mut body, page).map_err(Problem::internal)?;
    // The bounds on cached pages and on answers that wait to be sent count the length, not the capacity.
    body.shrink_to_fit();
    Ok(ReadyPage { body: body.into(), link: link.transpose().map_err(Problem::internal)? })
}

pub(crate) fn send(ReadyPage { body, link }: ReadyPage) -> Response<Bytes> {
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
        let dialog = wire::Dialog::received(&dialog, received);
        let page = wire::Page { items: vec![dialog], total: None, limit: 1, offset: 0, next: None };
        let body = super::page(&page).unwrap().body;
        let length = body.len();
        assert_eq!(body.try_into_mut().unwrap().capacity(), length);
    }
}

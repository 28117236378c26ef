//! Holds the answers to reads in memory that is counted, and encodes those whose client asks for it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderValue, Response, StatusCode};

use crate::api::answer::{Answer, Reused};
use crate::net::codings::{Coding, Effort, wanted};
use crate::net::shares::Share;
use crate::problem::Problem;
use crate::request::RequestHead;
use crate::state::State;

/// The minimum size of an answer that is encoded, in bytes. A shorter one fits into one packet anyway.
const SHORTEST: usize = 1_024;

/// What is encoded on the thread that answers. More than that takes milliseconds.
const HERE: usize = 32 * 1024;

/// Reserves room for an answer and encodes it, if there is enough room for both forms and the client asks for it.
pub(crate) async fn held(
    state: &State,
    share: &Arc<Share>,
    head: &RequestHead,
    mut response: Response<Bytes>,
) -> Answer {
    // It counts before it waits for its turn. Bytes of a page or of a file of the program count already: they have an
    // owner or are shared.
    if response.body().is_unique() {
        let (parts, body) = response.into_parts();
        response = Response::from_parts(parts, state.buffers.hold(share, body)?);
    }
    let asks = head.headers.contains_key(ACCEPT_ENCODING);
    // An answer that may be stored says what it depends on whether the client asks or not.
    let is_for_caches = response.headers().contains_key(CACHE_CONTROL);
    if (asks || is_for_caches) && is_compressible(&response) {
        // Beside the `Vary` of cross-origin requests.
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
        let wanted = wanted(&head.headers);
        let is_long = response.body().len() >= SHORTEST || wanted.refuses_plain;
        if let Some(coding) = wanted.coding.filter(|_| is_long)
            && let Some(encoded) = encoded(state, share, head, &response, coding).await?
        {
            *response.body_mut() = encoded;
            response.headers_mut().insert(CONTENT_ENCODING, coding.value());
        }
    }
    Ok(response)
}

/// Returns the answer in this coding; `None` if there is no room, or it would not be shorter.
async fn encoded(
    state: &State,
    share: &Arc<Share>,
    head: &RequestHead,
    response: &Response<Bytes>,
    coding: Coding,
) -> Result<Option<Bytes>, Problem> {
    let forms = response.extensions().get().map(|Reused(forms)| Arc::clone(forms));
    if let Some(known) = forms.as_ref().and_then(|forms| forms.known(coding)) {
        return Ok(Some(known));
    }
    let Ok(mut room) = state.buffers.answer(share, 0) else { return Ok(None) };
    let plain = response.body().clone();
    let length = plain.len();
    let encode = move || {
        if let Some(forms) = forms {
            return forms.make(coding, &plain, room);
        }
        let grow = |bytes| room.grow_to(bytes).is_ok();
        let encoded = coding.encode(&plain, Effort::Once, grow)?;
        Some(room.hold(encoded))
    };
    if length <= HERE {
        return Ok(encode());
    }
    state.work.turn(share, &head.client).await?.run(encode).await
}

fn is_compressible(response: &Response<Bytes>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    response.status() == StatusCode::OK
        && kind.is_some_and(|kind| {
            kind.starts_with("text/")
                || ["application/json", "application/openmetrics-text"]
                    .iter()
                    .any(|prefix| kind.starts_with(prefix))
        })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt;
    use http::{HeaderMap, Method, Version};

    use super::*;
    use crate::api::answer::typed;
    use crate::net::client::Client;

    #[tokio::test]
    async fn an_answer_counts_while_it_waits_to_be_encoded() {
        let state = State::with_room(8 << 20);
        let (client, _connection) = Client::here().await.expect("a connection");
        let turns = state.work.all_turns(&client);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("zstd"));
        let head = RequestHead {
            started: Instant::now(),
            method: Method::GET,
            version: Version::HTTP_11,
            target: "/data/c/d".parse().expect("a target"),
            headers,
            client,
            place: None,
        };
        let share = Arc::default();
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for _ in 0..10 {
            let answer =
                typed(vec![b' '; 1 << 20].into(), HeaderValue::from_static("application/json"));
            let mut answer = Box::pin(held(&state, &share, &head, answer));
            match answer.as_mut().now_or_never() {
                None => waiting.push(answer),
                Some(answer) => {
                    assert!(answer.is_err(), "nobody has a turn");
                    refused += 1;
                }
            }
        }
        assert!(!waiting.is_empty() && refused > 0, "{refused} are refused");
        drop(turns);
        for answer in waiting {
            let answer = answer.await.expect("an answer");
            assert_eq!(answer.headers()[CONTENT_ENCODING], "zstd");
        }
    }
}

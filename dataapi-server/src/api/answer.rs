//! Renders the answers of the handlers.

use std::sync::Arc;

use bytes::Bytes;
use dataapi_core::{Allowance, Change, Dialog, HeldDialog, Page, StoreError, Window};
use dataapi_wire as wire;
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::net::buffers::{AnswerRoom, ReadRoom, held};
use crate::net::shares::Taken;
use crate::problem::Problem;
use crate::ready_pages::{Encoded, ReadyPage};
use crate::request::{Asking, Request};
use crate::work::Turn;

/// The result of a handler.
pub(crate) type Answer = Result<Response<Bytes>, Problem>;

/// What is read or rendered on the thread that answers, in bytes. More than that waits for a turn at long work.
const READ_HERE: usize = 1 << 20;
const RENDERED_HERE: usize = 256 * 1024;

/// The encoded forms of an answer, for an answer that is sent more than once.
#[derive(Clone, Debug)]
pub(crate) struct Reused(pub(crate) Arc<Encoded>);

pub(crate) fn json(document: &impl Serialize) -> Answer {
    Ok(json_response(serde_json::to_vec(document).map_err(Problem::internal)?.into()))
}

/// Renders the answer to a write, in the room that was reserved for it together with its body.
pub(crate) fn json_in(mut room: Taken, document: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(document).map_err(Problem::internal)?;
    room.shrink_to(body.capacity());
    Ok(json_response(held(body.into(), room)))
}

fn json_response(body: Bytes) -> Response<Bytes> {
    typed(body, HeaderValue::from_static("application/json"))
}

pub(crate) fn typed(body: Bytes, content_type: HeaderValue) -> Response<Bytes> {
    let mut response = Response::new(body);
    // Most answers have seven headers in the end, for which a map that grows is made twice.
    response.headers_mut().reserve(8);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Answers with a file of the program.
pub(crate) fn file(
    (body, encoded): &(Bytes, Arc<Encoded>),
    content_type: &'static str,
) -> Response<Bytes> {
    let mut response = typed(body.clone(), HeaderValue::from_static(content_type));
    response.extensions_mut().insert(Reused(Arc::clone(encoded)));
    response
}

pub(crate) fn send(request: &Request<'_>, page: ReadyPage) -> Response<Bytes> {
    let ReadyPage { body, link, encoded } = page;
    let mut response = json_response(body);
    if let Some(link) = link {
        response.headers_mut().insert(LINK, link);
    }
    // An extension has allocations of its own.
    if let Some(encoded) = encoded.filter(|_| request.wants_coding()) {
        response.extensions_mut().insert(Reused(encoded));
    }
    response
}

/// Returns the value of `Link` for the URL of the next page.
pub(crate) fn link(next: Option<&str>) -> Result<Option<HeaderValue>, Problem> {
    let link = next.map(|next| format!("<{next}>; rel=\"next\"").try_into());
    link.transpose().map_err(Problem::internal)
}

/// An entry of a list in an answer.
pub(crate) trait Item: Send + 'static {
    /// About how many bytes of memory it takes.
    fn bytes_in_memory(&self) -> usize;

    /// The strings in it whose length varies; the first is the longest in all likelihood.
    fn strings(&self) -> [&str; 4];

    fn render(&self, json: &mut Vec<u8>) -> Result<(), Problem>;
}

macro_rules! dialog_item {
    ($dialog:ty) => {
        impl Item for $dialog {
            fn bytes_in_memory(&self) -> usize {
                self.bytes_in_memory()
            }

            fn strings(&self) -> [&str; 4] {
                let ids = [self.customer_id().as_str(), self.dialog_id().as_str()];
                [self.text().as_str(), ids[0], ids[1], self.language().as_str()]
            }

            fn render(&self, json: &mut Vec<u8>) -> Result<(), Problem> {
                let dialog = wire::Dialog::from(self);
                if self.text().as_str().len() > RESERVED_FOR {
                    return serde_json::to_writer(json, &dialog).map_err(Problem::internal);
                }
                // It uses SIMD and takes 0.6 of the time of serde_json for a page of texts.
                sonic_rs::to_writer(json, &dialog).map_err(Problem::internal)
            }
        }
    };
}

dialog_item!(Dialog);
dialog_item!(HeldDialog);

impl Item for Change {
    fn bytes_in_memory(&self) -> usize {
        self.bytes_in_memory()
    }

    fn strings(&self) -> [&str; 4] {
        let text = self.dialog.as_ref().map_or("", |dialog| dialog.text().as_str());
        let [notice, method, locale] = self.event.evidence.pieces().map(Option::unwrap_or_default);
        [text, notice, method, locale]
    }

    fn render(&self, json: &mut Vec<u8>) -> Result<(), Problem> {
        serde_json::to_writer(json, &wire::Event::from(self)).map_err(Problem::internal)
    }
}

/// A list that is being read and rendered: its room, and its turn if it is long.
pub(crate) struct List<'r> {
    asking: Asking<'r>,
    room: Arc<ReadRoom>,
    turn: Option<Turn>,
}

impl<'r> List<'r> {
    /// Reserves room for a list of about so many dialogs. A list that is expected to be long waits for its turn first.
    pub(crate) async fn of(asking: Asking<'r>, items: usize) -> Result<Self, Problem> {
        let Asking { state, share, client } = asking;
        let expected = state.item_sizes.expected(items);
        let turn =
            if expected > READ_HERE { Some(state.work.turn(share, client).await?) } else { None };
        // The estimate can be far too high. Up to half of the largest answer, there is room again later.
        let bytes = expected.min(state.buffers.largest_answer() / 2);
        match Self::with(asking, bytes, turn) {
            // It might be short, and short answers have room of their own.
            Err(_) if expected <= READ_HERE => Self::of_few(asking),
            list => list,
        }
    }

    /// Reserves little room for a list that has nothing in it in most cases.
    pub(crate) fn of_few(asking: Asking<'r>) -> Result<Self, Problem> {
        Self::with(asking, 4_096, None)
    }

    fn with(asking: Asking<'r>, bytes: usize, turn: Option<Turn>) -> Result<Self, Problem> {
        let room = asking.state.buffers.answer(asking.share, bytes)?;
        Ok(Self { asking, room: Arc::new(ReadRoom::new(room)), turn })
    }

    /// What the store may hold while it reads the list.
    pub(crate) fn allowance(&self) -> Arc<dyn Allowance> {
        Arc::clone(&self.room) as _
    }

    /// Ends the read. If it ended because it was not allowed to go on, the problem says why.
    pub(crate) fn read<T>(
        &self,
        found: Result<T, StoreError>,
    ) -> Result<(T, AnswerRoom), ReadError> {
        let room = self.room.end();
        match (found, room) {
            (Ok(found), Ok(room)) => Ok((found, room)),
            (Ok(_) | Err(StoreError::Overloaded { .. }), Err(refusal)) => {
                Err(ReadError::NoRoom(refusal))
            }
            (Err(error), _) => Err(ReadError::Store(error)),
        }
    }

    /// Renders a page, with the URL of the next page for the header `Link` as well.
    pub(crate) async fn page<T: Item>(
        self,
        found: Page<T>,
        room: AnswerRoom,
        window: &Window,
        next: Option<&str>,
    ) -> Result<(Vec<u8>, AnswerRoom), Problem> {
        let Page { items, total, .. } = found;
        let bytes: usize = items.iter().map(Item::bytes_in_memory).sum();
        self.asking.state.item_sizes.learn(items.len(), bytes);
        let around = wire::Page {
            items: Vec::new(),
            total,
            limit: window.limit.get(),
            offset: window.offset(),
            next: next.map(Into::into),
        };
        let around = sonic_rs::to_vec(&around).map_err(Problem::internal)?;
        self.render(items, room, around, br#"{"items":["#.len()).await
    }

    /// Renders the list into the document `around`, in which it begins at this place. A long one is rendered on a
    /// thread that may block.
    pub(crate) async fn render<T: Item>(
        self,
        items: Vec<T>,
        mut room: AnswerRoom,
        around: Vec<u8>,
        begins: usize,
    ) -> Result<(Vec<u8>, AnswerRoom), Problem> {
        let Self { asking, turn, .. } = self;
        let bytes: usize = items.iter().map(Item::bytes_in_memory).sum();
        if bytes <= RENDERED_HERE {
            let capacity = around.len() + short_json(&items);
            room.grow_to(bytes + capacity)?;
            let mut json = rendered(items, capacity, &around, begins)?;
            // The bounds count what is allocated, not what is used.
            json.shrink_to_fit();
            room.grow_to(json.capacity())?;
            return Ok((json, room));
        }
        // What was read without an allowance counts before it waits.
        room.grow_to(bytes)?;
        let turn = match turn {
            Some(turn) => turn,
            None => asking.state.work.turn(asking.share, asking.client).await?,
        };
        let rendering = turn.run(move || -> Result<_, Problem> {
            let long = LongJson::of(&items);
            room.grow_to(long.most_at_once + around.len())?;
            let json = rendered(items, long.capacity + around.len(), &around, begins)?;
            room.grow_to(json.capacity())?;
            Ok((json, room))
        });
        rendering.await?
    }
}

/// Why a list was not read.
pub(crate) enum ReadError {
    NoRoom(Problem),
    Store(StoreError),
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoRoom(problem) => problem,
            ReadError::Store(error) => error.into(),
        }
    }
}

/// The serializer with SIMD reserves room for each string as if every byte of it were escaped. A string that is longer
/// than this is left to the other serializer, or a page with one of the longest texts would need more room than any
/// answer may have.
const RESERVED_FOR: usize = 1 << 20;
const WIDEST_ESCAPE: usize = 8;

/// The names in an entry, its dates and its punctuation.
const NAMES: usize = 256;

/// Estimates the length of a short list. A buffer that had to grow would add 3 % to the time of a page from the middle
/// of a store.
fn short_json<T: Item>(items: &[T]) -> usize {
    let strings = items.iter().map(|item| item.strings()[0].len());
    let longest = strings.clone().max().unwrap_or(0);
    strings.sum::<usize>() + (items.len() + 1) * NAMES + longest * WIDEST_ESCAPE
}

/// How much memory it takes to render a long list. Each entry is dropped once it is rendered.
struct LongJson {
    capacity: usize,
    most_at_once: usize,
}

impl LongJson {
    fn of<T: Item>(items: &[T]) -> Self {
        let mut left: usize = items.iter().map(Item::bytes_in_memory).sum();
        let (mut json, mut longest, mut most_at_once) = (0, 0, left);
        for item in items {
            let strings = item.strings();
            json += strings.iter().map(|string| escaped(string)).sum::<usize>() + 2 * NAMES;
            longest = longest.max(strings[0].len());
            most_at_once = most_at_once.max(left + json);
            left -= item.bytes_in_memory();
        }
        let spare = longest.min(RESERVED_FOR) * WIDEST_ESCAPE + NAMES;
        Self { capacity: json + spare, most_at_once: most_at_once + spare }
    }
}

/// How many bytes the string has in JSON, at most.
fn escaped(string: &str) -> usize {
    let bytes = string.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        ..=0x1f => 6,
        _ => 1_usize,
    });
    bytes.sum()
}

fn rendered<T: Item>(
    items: Vec<T>,
    capacity: usize,
    around: &[u8],
    begins: usize,
) -> Result<Vec<u8>, Problem> {
    let (before, after) = around.split_at(begins);
    let mut json = Vec::with_capacity(capacity);
    json.extend_from_slice(before);
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        item.render(&mut json)?;
    }
    json.extend_from_slice(after);
    Ok(json)
}

#[cfg(test)]
mod tests {
    use dataapi_core::{Date, NewDialog, StoredDialog, Text};
    use futures_util::FutureExt;

    use super::*;
    use crate::net::client::Client;
    use crate::state::State;

    #[tokio::test]
    async fn what_was_read_counts_while_it_waits_to_be_rendered() {
        let state = State::with_room(8 << 20);
        let (client, _connection) = Client::here().await.expect("a connection");
        let turns = state.work.all_turns(&client);
        let share = Arc::default();
        let asking = Asking { state: &state, share: &share, client: &client };
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for _ in 0..10 {
            let list = List::of_few(asking).expect("there is room");
            let (items, room) =
                list.read(Ok(dialogs(&["x".repeat(1 << 19)]))).ok().expect("a read");
            let mut rendering = Box::pin(list.render(items, room, br#"{"items":[]}"#.to_vec(), 10));
            match rendering.as_mut().now_or_never() {
                None => waiting.push(rendering),
                Some(rendered) => {
                    assert!(rendered.is_err(), "nobody has a turn");
                    refused += 1;
                }
            }
        }
        assert!(!waiting.is_empty() && refused > 0, "{refused} are refused");
        drop((turns, waiting));
    }

    fn dialogs(texts: &[String]) -> Vec<Dialog> {
        let dialog = |text: &String| {
            let dialog = NewDialog {
                dialog_id: "d".parse().expect("an id"),
                customer_id: "c".parse().expect("an id"),
                language: "en".parse().expect("a tag"),
                text: Text::parse(text.clone(), usize::MAX).expect("a text"),
            };
            let date = Date::from_micros(0).expect("a date");
            StoredDialog::new(dialog, date, true).readable().expect("it is consented")
        };
        texts.iter().map(dialog).collect()
    }

    #[test]
    fn the_buffer_of_a_long_list_is_large_enough_and_hardly_larger() {
        for texts in [
            vec!["long ".repeat(200_000)],
            vec!["longer ".repeat(1 << 20), "\u{1}".repeat(3 << 20), "short".to_owned()],
            vec!["\u{1}\u{2}".repeat(30_000); 20],
            vec!["\"\n\\".repeat(20_000), "é".repeat(60_000), "x".repeat(60_000)],
        ] {
            let items = dialogs(&texts);
            let LongJson { capacity, most_at_once } = LongJson::of(&items);
            let longest = texts.iter().map(String::len).max().expect("a text");
            let json = rendered(items, capacity, br#"{"items":[]}"#, 10).expect("it renders");
            assert_eq!(json.capacity(), capacity, "it did not grow");
            let spare = longest.min(RESERVED_FOR) * WIDEST_ESCAPE;
            assert!(capacity < json.len() + 1_024 * texts.len() + spare + 1_024);
            assert!(most_at_once >= json.len());
            let read: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
            assert_eq!(read["items"].as_array().map(Vec::len), Some(texts.len()));
            assert_eq!(read["items"][0]["text"], texts[0]);
        }
    }
}

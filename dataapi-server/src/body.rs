//! The bodies of requests: how much of one is read, for how long, and what a wrong one is told.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use dataapi_core::Invalid;
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio::time::{Instant, timeout_at};

use crate::buffers::{Buffers, Room};
use crate::dto;
use crate::problem::Problem;

/// Bounds of a body on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

impl Limits {
    /// A byte of text takes at most six in JSON (`\u0001`); the rest is room for all else.
    pub(crate) fn new(max_text_bytes: usize, time: Duration) -> Self {
        Self { bytes: max_text_bytes.saturating_mul(6).saturating_add(16 * 1024), time }
    }
}

/// A body on its way in.
pub(crate) trait Chunks:
    Stream<Item = Result<Bytes, BrokeOff>> + Send + Unpin + 'static
{
}

impl<S: Stream<Item = Result<Bytes, BrokeOff>> + Send + Unpin + 'static> Chunks for S {}

/// The connection ended before the body did.
#[derive(Debug)]
pub(crate) struct BrokeOff;

/// Reads a whole body; it has its room until that is dropped.
pub(crate) async fn read(
    mut body: impl Chunks,
    headers: &HeaderMap,
    limits: Limits,
    buffers: &Buffers,
) -> Result<(Vec<u8>, Room), Problem> {
    let deadline = Instant::now() + limits.time;
    let announced = announced_length(headers);
    if announced.is_some_and(|length| length > limits.bytes as u64) {
        // A client that waits to be told to go on has sent nothing, and learns enough from this.
        if !headers.contains_key(EXPECT) {
            tokio::spawn(discard(body, limits.bytes));
        }
        return Err(Problem::body_too_large(limits.bytes));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    // What a client announces is not yet what it sends.
    let mut whole = Vec::with_capacity(announced.min(64 * 1024));
    let mut room = buffers.body();
    loop {
        let chunk = match timeout_at(deadline, body.next()).await {
            Err(_) => return Err(Problem::body_timeout()),
            Ok(None) => return Ok((whole, room)),
            Ok(Some(Err(BrokeOff))) => return Err(Problem::body_broke_off()),
            Ok(Some(Ok(chunk))) => chunk,
        };
        if chunk.len() > limits.bytes - whole.len() {
            tokio::spawn(discard(body, limits.bytes));
            return Err(Problem::body_too_large(limits.bytes));
        }
        if let Err(full) = room.grow(chunk.len()) {
            tokio::spawn(discard(body, limits.bytes));
            return Err(full);
        }
        whole.extend_from_slice(&chunk);
    }
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on for a moment, so that a client which first sends all and then looks gets to see the
/// answer: a connection closed with bytes unread is reset, and the answer with it.
async fn discard(mut body: impl Chunks, at_most: usize) {
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut discarded = 0;
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, body.next()).await {
        discarded += chunk.len();
        if discarded > at_most {
            break;
        }
    }
}

/// A body with a shape of its own.
pub(crate) trait Shape: for<'de> Deserialize<'de> {
    /// What it is, to be read after "the body must be".
    const WHOLE: &'static str;
    /// Its members.
    const MEMBERS: &'static [Member];
}

/// One member of a body.
pub(crate) struct Member {
    name: &'static str,
    kind: Kind,
    required: bool,
}

impl Shape for dto::NewDialog {
    const WHOLE: &'static str = "an object with the members 'text' and 'language'";
    const MEMBERS: &'static [Member] = &[
        Member { name: "text", kind: Kind::String, required: true },
        Member { name: "language", kind: Kind::String, required: true },
    ];
}

impl Shape for dto::Decision {
    const WHOLE: &'static str =
        "true, false, or an object with 'consent' and if need be 'notice', 'method', 'locale'";
    const MEMBERS: &'static [Member] = &[
        Member { name: "consent", kind: Kind::Bool, required: true },
        Member { name: "notice", kind: Kind::String, required: false },
        Member { name: "method", kind: Kind::String, required: false },
        Member { name: "locale", kind: Kind::String, required: false },
    ];
}

/// Parses a whole body; what is wrong with it is told without quoting it.
pub(crate) fn parse<T: Shape>(body: &[u8]) -> Result<T, Problem> {
    let Ok(json) = std::str::from_utf8(body) else {
        return Err(Problem::not_json("the body must be UTF-8"));
    };
    // A derived struct would also be read out of an array of its members.
    let is_array = json.trim_start().starts_with('[');
    match serde_json::from_str::<T>(json) {
        Ok(value) if !is_array => Ok(value),
        _ if serde_json::from_str::<IgnoredAny>(json).is_err() => {
            Err(Problem::not_json("the body must be one JSON value"))
        }
        _ => Err(explain::<T>(json).into()),
    }
}

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    String,
    Bool,
    Null,
    Other,
}

/// Finds out what is wrong with JSON that has the wrong shape. The parser's own message will not
/// do: it quotes the value.
fn explain<T: Shape>(json: &str) -> Invalid {
    let mut fault = None;
    let seen = serde_json::Deserializer::from_str(json)
        .deserialize_any(Inspection { members: T::MEMBERS, fault: &mut fault });
    let whole = || Invalid::new("body", format!("must be {}", T::WHOLE));
    match (fault, seen) {
        (Some(fault), _) => fault,
        (None, Ok(seen)) => T::MEMBERS
            .iter()
            .find(|member| member.required && !seen.contains(&member.name))
            .map_or_else(whole, |missing| Invalid::new(missing.name, "is missing")),
        (None, Err(_)) => whole(),
    }
}

/// Walks the members of an object up to the first that is wrong.
struct Inspection<'f> {
    members: &'static [Member],
    fault: &'f mut Option<Invalid>,
}

impl<'de> Visitor<'de> for Inspection<'_> {
    type Value = Vec<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Self { members: known, fault } = self;
        let mut seen = Vec::new();
        while let Some(name) = members.next_key::<String>()? {
            let Some(member) = known.iter().find(|member| member.name == name) else {
                let names = known.iter().map(|member| member.name).collect::<Vec<_>>().join(", ");
                *fault = Some(Invalid::new("body", format!("must have no members but {names}")));
                break;
            };
            if seen.contains(&member.name) {
                *fault = Some(Invalid::new(member.name, "must be given only once"));
                break;
            }
            seen.push(member.name);
            let wanted = match member.kind {
                Kind::Bool => "must be true or false",
                _ => "must be a string of Unicode characters",
            };
            // Set beforehand, because an unreadable value leaves this function at once.
            *fault = Some(Invalid::new(member.name, wanted));
            let kind = members.next_value::<Kind>()?;
            if kind != member.kind && (member.required || kind != Kind::Null) {
                break;
            }
            *fault = None;
        }
        Ok(seen)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Kind, E> {
                Ok(Kind::String)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Kind, E> {
                Ok(Kind::Bool)
            }

            fn visit_unit<E: Error>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Kind, E> {
                Ok(Kind::Other)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Kind, E> {
                Ok(Kind::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Kind, E> {
                Ok(Kind::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Kind::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Kind::Other)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal<T: Shape>(body: &str) -> (u16, serde_json::Value) {
        let problem = parse::<T>(body.as_bytes()).err().expect("a refusal");
        let response = problem.into_response();
        let document: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        (response.status().as_u16(), document["field"].clone())
    }

    #[test]
    fn a_wrong_shape_names_the_member() {
        for (body, field) in [
            (r#"{"text":"x"}"#, "language"),
            (r#"{"language":"en"}"#, "text"),
            (r#"{"text":1,"language":"en"}"#, "text"),
            (r#"{"text":"x","language":null}"#, "language"),
            (r#"{"text":"x","language":{"a":[1,{}]}}"#, "language"),
            (r#"{"text":"x","text":"y","language":"en"}"#, "text"),
            (r#"{"text":"x","language":"en","customer":"c"}"#, "body"),
            (r#"{"text":1e999,"language":"en"}"#, "text"),
            (r#"{"text":"\ud800","language":"en"}"#, "text"),
            (r#"["x","en"]"#, "body"),
            (r#""x""#, "body"),
            ("null", "body"),
            ("12", "body"),
            ("{}", "text"),
        ] {
            assert_eq!(refusal::<dto::NewDialog>(body), (422, field.into()), "{body}");
        }
        for (body, field) in [
            ("[true]", "body"),
            (r#""true""#, "body"),
            ("1", "body"),
            ("null", "body"),
            ("{}", "consent"),
            (r#"{"consent":null}"#, "consent"),
            (r#"{"consent":"yes"}"#, "consent"),
            (r#"{"consent":true,"consent":false}"#, "consent"),
            (r#"{"consent":true,"notice":7}"#, "notice"),
            (r#"{"consent":true,"because":"x"}"#, "body"),
        ] {
            assert_eq!(refusal::<dto::Decision>(body), (422, field.into()), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_apart() {
        for body in ["", " ", "{", r#"{"text":"x""#, "tru", "true false", "{'a':1}", "\u{feff}true"]
        {
            assert_eq!(refusal::<dto::NewDialog>(body).0, 400, "{body}");
            assert_eq!(refusal::<dto::Decision>(body).0, 400, "{body}");
        }
        assert!(parse::<dto::Decision>(b"\xff").is_err());
    }

    #[test]
    fn nesting_without_end_is_only_a_wrong_shape() {
        let deep =
            format!(r#"{{"text":{}{},"language":"en"}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(refusal::<dto::NewDialog>(&deep), (422, "text".into()));
    }

    #[test]
    fn space_around_and_nulls_for_evidence_are_fine() {
        assert!(parse::<dto::Decision>(b" \n true\r\n").is_ok());
        assert!(parse::<dto::Decision>(br#"{"consent":false,"notice":null}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse::<dto::NewDialog>(&body);
            let _ = parse::<dto::Decision>(&body);
        }
    }
}

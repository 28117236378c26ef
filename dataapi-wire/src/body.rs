//! Parses the body of a request strictly, and reports errors without quoting the body.

use std::fmt;

use dataapi_core::Invalid;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::consent::Decision;
use crate::dialog::NewDialog;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body is not JSON in UTF-8. The reason is a complete message.
    NotJson(&'static str),
    /// The body is JSON of the wrong shape.
    WrongShape(Invalid),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(reason) => f.write_str(reason),
            Self::WrongShape(invalid) => invalid.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}

/// A kind of body, with the shape that it must have.
pub trait Shape: for<'de> Deserialize<'de> {
    /// A description of the shape, to follow "the body must be".
    const WHOLE: &'static str;
    /// The members of the object.
    const MEMBERS: &'static [Member];
}

/// One member of a body.
#[derive(Debug)]
pub struct Member {
    name: &'static str,
    kind: JsonType,
    required: bool,
}

impl Shape for NewDialog {
    const WHOLE: &'static str = "an object with the members 'text' and 'language'";
    const MEMBERS: &'static [Member] = &[
        Member { name: "text", kind: JsonType::String, required: true },
        Member { name: "language", kind: JsonType::String, required: true },
    ];
}

impl Shape for Decision {
    const WHOLE: &'static str =
        "true, false, or an object with 'consent' and optionally 'notice', 'method' and 'locale'";
    const MEMBERS: &'static [Member] = &[
        Member { name: "consent", kind: JsonType::Bool, required: true },
        Member { name: "notice", kind: JsonType::String, required: false },
        Member { name: "method", kind: JsonType::String, required: false },
        Member { name: "locale", kind: JsonType::String, required: false },
    ];
}

/// Parses a whole body. The errors do not quote it.
///
/// # Errors
/// If the body is not JSON in UTF-8, or has another shape.
///
/// ```
/// use dataapi_wire::{Decision, body};
///
/// assert!(body::parse::<Decision>(b" true ").is_ok());
/// let wrong = body::parse::<Decision>(br#"{"consent":"yes"}"#).expect_err("a string");
/// assert_eq!(wrong.to_string(), "consent must be true or false");
/// ```
pub fn parse<T: Shape>(body: &[u8]) -> Result<T, BodyError> {
    // Some programs on Windows begin each file with a byte order mark.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let json = std::str::from_utf8(body).map_err(|_| BodyError::NotJson(not_utf8(body)))?;
    // A derived struct would also accept an array of its members.
    let is_array = json.trim_start().starts_with('[');
    match serde_json::from_str::<T>(json) {
        Ok(value) if !is_array => Ok(value),
        _ if serde_json::from_str::<IgnoredAny>(json).is_err() => {
            Err(BodyError::NotJson("the body must be one JSON value"))
        }
        _ => Err(BodyError::WrongShape(explain::<T>(json))),
    }
}

/// Says why a body is not UTF-8.
fn not_utf8(body: &[u8]) -> &'static str {
    match body {
        [0x1f, 0x8b, ..] => {
            "the body is compressed by gzip and the request does not say so; add the header \
             'Content-Encoding: gzip'"
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "the body is compressed by zstd and the request does not say so; add the header \
             'Content-Encoding: zstd'"
        }
        _ => "the body must be UTF-8",
    }
}

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JsonType {
    String,
    Bool,
    Null,
    Other,
}

/// Explains why JSON has the wrong shape. The parser's own message cannot be used: it quotes the value.
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

/// Reads the members of an object up to the first that is wrong.
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
                *fault =
                    Some(Invalid::new("body", format!("must have no other members than {names}")));
                break;
            };
            if seen.contains(&member.name) {
                *fault = Some(Invalid::new(member.name, "must be given only once"));
                break;
            }
            seen.push(member.name);
            let wanted = match member.kind {
                JsonType::Bool => "must be true or false",
                _ => "must be a string of Unicode characters",
            };
            // Set before the value is read, because an unreadable value returns from here at once.
            *fault = Some(Invalid::new(member.name, wanted));
            let kind = members.next_value::<JsonType>()?;
            if kind != member.kind && (member.required || kind != JsonType::Null) {
                break;
            }
            *fault = None;
        }
        Ok(seen)
    }
}

impl<'de> Deserialize<'de> for JsonType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = JsonType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<JsonType, E> {
                Ok(JsonType::String)
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<JsonType, E> {
                Ok(JsonType::Bool)
            }

            fn visit_unit<E: Error>(self) -> Result<JsonType, E> {
                Ok(JsonType::Null)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<JsonType, E> {
                Ok(JsonType::Other)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<JsonType, E> {
                Ok(JsonType::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<JsonType, E> {
                Ok(JsonType::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonType, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(JsonType::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<JsonType, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(JsonType::Other)
            }
        }

        deserializer.deserialize_any(Value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The status of the answer, and the member that is wrong.
    fn refused<T: Shape>(body: &str) -> (u16, Option<&'static str>) {
        match parse::<T>(body.as_bytes()).err().expect("it is refused") {
            BodyError::NotJson(_) => (400, None),
            BodyError::WrongShape(Invalid { field, .. }) => (422, Some(field)),
        }
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
            assert_eq!(refused::<NewDialog>(body), (422, Some(field)), "{body}");
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
            assert_eq!(refused::<Decision>(body), (422, Some(field)), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_400() {
        for body in ["", " ", "{", r#"{"text":"x""#, "tru", "true false", "{'a':1}", "true\u{feff}"]
        {
            assert_eq!(refused::<NewDialog>(body).0, 400, "{body}");
            assert_eq!(refused::<Decision>(body).0, 400, "{body}");
        }
        assert!(parse::<Decision>(b"\xff").is_err());
    }

    #[test]
    fn a_byte_order_mark_before_the_json_is_skipped() {
        assert!(parse::<Decision>("\u{feff}true".as_bytes()).is_ok());
        assert_eq!(refused::<Decision>("\u{feff}\u{feff}true").0, 400);
    }

    #[test]
    fn nesting_without_end_is_only_a_wrong_shape() {
        let deep =
            format!(r#"{{"text":{}{},"language":"en"}}"#, "[".repeat(50_000), "]".repeat(50_000));
        assert_eq!(refused::<NewDialog>(&deep), (422, Some("text")));
    }

    #[test]
    fn space_around_and_nulls_for_evidence_are_fine() {
        assert!(parse::<Decision>(b" \n true\r\n").is_ok());
        assert!(parse::<Decision>(br#"{"consent":false,"notice":null}"#).is_ok());
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse::<NewDialog>(&body);
            let _ = parse::<Decision>(&body);
        }
    }
}

//! Fuzz targets for queries and bodies: valid input has one meaning, and no error quotes the input.
//! `./check --long` continues the search for hours.

use bolero::check;
use dataapi_core::{
    Cursor, CustomerId, Decision, Invalid, PageRequest, Position, Reach, Start, Window,
};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::body::{BodyError, parse};
use crate::consent;
use crate::dialog::NewDialog;
use crate::ledger::changes_request;
use crate::page::{next_page_url, page_request};
use crate::subject::{next_subject_url, subject_request};

/// Stands for texts and ids in the inputs.
const MARKER: &str = "MARKER";

#[test]
fn query() {
    check!(name = "query").for_each(|input: &[u8]| {
        let Ok(query) = str::from_utf8(input) else { return };
        match page_request(query, Reach::default()) {
            Ok(request) => {
                let next = Cursor::in_filter(request.filter(), place());
                let url = next_page_url("/v1", &request, &next);
                let rest = url.strip_prefix("/v1/data/?").expect("the same route");
                let window = Window { start: Start::After(next), ..request.window().clone() };
                let following = PageRequest::new(request.filter().clone(), window);
                assert_eq!(page_request(rest, Reach::default()).ok(), following.ok());
            }
            Err(invalid) => tells_nothing(&invalid),
        }
        let anna: CustomerId = "anna".parse().expect("an id");
        match subject_request(anna.clone(), query) {
            Ok(request) => {
                let next = Cursor::in_subject(&anna, place());
                let url = next_subject_url("", &request, &next);
                let rest = url.strip_prefix("/customers/anna/data?").expect("the same route");
                let window = Window { start: Start::After(next), ..request.window().clone() };
                let following = subject_request(anna, rest).expect("a good query");
                assert_eq!(following.window(), &window);
            }
            Err(invalid) => tells_nothing(&invalid),
        }
        match changes_request(query) {
            Ok(request) => assert!(request.wait.as_secs() <= 60),
            Err(invalid) => tells_nothing(&invalid),
        }
    });
}

#[test]
fn body() {
    check!(name = "body").for_each(|body: &[u8]| {
        // A byte order mark is skipped.
        let input = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let is_json =
            str::from_utf8(input).is_ok() && serde_json::from_slice::<IgnoredAny>(input).is_ok();
        let is_refused = |error: BodyError| {
            assert_eq!(is_json, matches!(error, BodyError::WrongShape(_)));
            assert!(!error.to_string().contains(MARKER), "{error}");
        };
        let (anna, id) = ("anna".parse().expect("an id"), "d-1".parse().expect("an id"));
        match parse::<NewDialog>(body) {
            Ok(new) => {
                let sent: Value = serde_json::from_slice(input).expect("JSON");
                assert_eq!(sent.as_object().map(serde_json::Map::len), Some(2));
                match new.into_domain(anna, id, 100) {
                    Ok(dialog) => {
                        assert_eq!(sent["text"], dialog.text.as_str());
                        assert_eq!(sent["language"], dialog.language.as_str());
                    }
                    Err(invalid) => tells_nothing(&invalid),
                }
            }
            Err(error) => is_refused(error),
        }
        match parse::<consent::Decision>(body) {
            Ok(decision) => {
                let sent: Value = serde_json::from_slice(input).expect("JSON");
                let consent = sent.as_bool().or(sent["consent"].as_bool()).expect("a decision");
                match decision.into_domain() {
                    Ok((decision, evidence)) => {
                        assert_eq!(consent, decision == Decision::Granted);
                        for (name, piece) in
                            ["notice", "method", "locale"].into_iter().zip(evidence.pieces())
                        {
                            assert_eq!(sent[name].as_str(), piece, "{name}");
                        }
                    }
                    Err(invalid) => tells_nothing(&invalid),
                }
            }
            Err(error) => is_refused(error),
        }
    });
}

fn place() -> Position {
    let date = "2026-03-01T10:00:00Z".parse().expect("a date");
    Position { date, dialog_id: "d/1".parse().expect("an id") }
}

fn tells_nothing(invalid: &Invalid) {
    assert!(!invalid.to_string().contains(MARKER), "{invalid}");
}

//! Whatever comes in where a path, a query, a body or a whole request should: what is understood means
//! one thing, no refusal says again what was sent, and the server is at fault in nothing.
//! `./check --long` searches on for hours.

use std::future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bolero::check;
use dataapi_core::{
    Cursor, CustomerId, Decision, Dialogs, Evidence, Invalid, MemoryStore, NewDialog, PageRequest,
    Position, Reach, RefKey, Start, SystemClock, Window,
};
use http::{Method, StatusCode};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::time::timeout;

use crate::problem::Problem;
use crate::query::{
    changes_request, dialog_url, next_page_url, next_subject_url, page_request, subject_request,
};
use crate::routes::{Operation, Path, Prefix};
use crate::{Config, body, dto, serve};

/// What the inputs have in them where a text or an id would stand.
const MARKER: &str = "MARKER";

/// How long a connection may take to end.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn path() {
    check!(name = "path").for_each(|input: &[u8]| {
        let Ok(path) = str::from_utf8(input) else { return };
        let Some(found) = Path::find(path) else { return };
        assert!(path.starts_with(found.prefix.as_str()));
        assert!(!found.allowed().is_empty(), "whatever is found takes a method");
        for method in [Method::GET, Method::POST, Method::DELETE] {
            match found.operation(&method) {
                Some(Operation::ReadDialog { customer, dialog }) => {
                    let (customer, dialog) = match (customer.customer_id(), dialog.dialog_id()) {
                        (Ok(customer), Ok(dialog)) => (customer, dialog),
                        (Err(refusal), _) | (_, Err(refusal)) => return tells_nothing(refusal),
                    };
                    let url = dialog_url(found.prefix, customer.as_str(), dialog.as_str());
                    let again = Path::find(&url).expect("a path");
                    let Some(Operation::ReadDialog { customer: c, dialog: d }) =
                        again.operation(&method)
                    else {
                        panic!("another route");
                    };
                    assert_eq!(again.prefix, found.prefix);
                    assert_eq!((c.customer_id(), d.dialog_id()), (Ok(customer), Ok(dialog)));
                }
                Some(Operation::ReadConsent { dialog } | Operation::ReadReceipt { dialog }) => {
                    dialog.dialog_id().map_or_else(tells_nothing, drop);
                }
                Some(
                    Operation::ReadCustomerData { customer }
                    | Operation::EraseCustomer { customer },
                ) => customer.customer_id().map_or_else(tells_nothing, drop),
                _ => {}
            }
        }
    });
}

#[test]
fn query() {
    check!(name = "query").for_each(|input: &[u8]| {
        let Ok(query) = str::from_utf8(input) else { return };
        match page_request(query, Reach::default()) {
            Ok(request) => {
                let next = Cursor::in_filter(request.filter(), place());
                let url = next_page_url(Prefix::V1, &request, &next);
                let rest = url.strip_prefix("/v1/data/?").expect("the same route");
                let window = Window { start: Start::After(next), ..request.window().clone() };
                let following = PageRequest::new(request.filter().clone(), window);
                assert_eq!(page_request(rest, Reach::default()).ok(), following.ok());
            }
            Err(problem) => is_told(problem, 400),
        }
        let anna: CustomerId = "anna".parse().expect("an id");
        match subject_request(anna.clone(), query) {
            Ok(request) => {
                let next = Cursor::in_subject(&anna, place());
                let url = next_subject_url(Prefix::Bare, &request, &next);
                let rest = url.strip_prefix("/customers/anna/data?").expect("the same route");
                let window = Window { start: Start::After(next), ..request.window().clone() };
                let following = subject_request(anna, rest).expect("a good query");
                assert_eq!(following.window(), &window);
            }
            Err(problem) => is_told(problem, 400),
        }
        match changes_request(query) {
            Ok(request) => assert!(request.wait.as_secs() <= 60),
            Err(problem) => is_told(problem, 400),
        }
    });
}

#[test]
fn body() {
    check!(name = "body").for_each(|input: &[u8]| {
        let is_json =
            str::from_utf8(input).is_ok() && serde_json::from_slice::<IgnoredAny>(input).is_ok();
        let refused = if is_json { 422 } else { 400 };
        let (anna, id) = ("anna".parse().expect("an id"), "d-1".parse().expect("an id"));
        match body::parse::<dto::NewDialog>(input) {
            Ok(new) => {
                let sent: Value = serde_json::from_slice(input).expect("JSON");
                assert_eq!(sent.as_object().map(serde_json::Map::len), Some(2));
                match new.into_domain(anna, id, 100) {
                    Ok(dialog) => {
                        assert_eq!(sent["text"], dialog.text.as_str());
                        assert_eq!(sent["language"], dialog.language.as_str());
                    }
                    Err(refusal) => tells_nothing(refusal),
                }
            }
            Err(problem) => is_told(problem, refused),
        }
        match body::parse::<dto::Decision>(input) {
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
                    Err(refusal) => tells_nothing(refusal),
                }
            }
            Err(problem) => is_told(problem, refused),
        }
    });
}

#[test]
fn connection() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = runtime.block_on(server());
    let runtime = AssertUnwindSafe(runtime);
    check!(name = "connection").for_each(|input: &[u8]| {
        // A request may wait for an event for a minute, which is no hang.
        if input.to_ascii_lowercase().windows(4).any(|word| word == b"wait") {
            return;
        }
        let answers = runtime.block_on(async { timeout(PATIENCE, send(address, input)).await });
        let answers = answers.expect("the connection ends");
        assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."), "it speaks HTTP");
        assert!(!answers.windows(11).any(is_fault), "{}", String::from_utf8_lossy(&answers));
    });
}

/// A server with one dialog, which ends with the runtime.
async fn server() -> SocketAddr {
    let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    let dialog = NewDialog::parse("anna", "d-1", "en", "Where is my parcel?").expect("a dialog");
    store.insert(dialog).await.expect("it is stored");
    let id = "d-1".parse().expect("an id");
    store.decide(id, Decision::Granted, Evidence::default()).await.expect("it is decided");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(Arc::new(store), Config::default(), listener, future::pending()));
    address
}

async fn send(server: SocketAddr, input: &[u8]) -> Vec<u8> {
    let mut client = TcpStream::connect(server).await.expect("a connection");
    // It may close before it has read all.
    let _ = client.write_all(input).await;
    let _ = client.shutdown().await;
    let mut answers = Vec::new();
    let _ = client.read_to_end(&mut answers).await;
    answers
}

fn is_fault(bytes: &[u8]) -> bool {
    matches!(bytes, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'5', _])
}

fn place() -> Position {
    let date = "2026-03-01T10:00:00Z".parse().expect("a date");
    Position { date, dialog_id: "d/1".parse().expect("an id") }
}

fn tells_nothing(refusal: Invalid) {
    is_told(refusal.into(), 422);
}

fn is_told(problem: Problem, status: u16) {
    let answer = problem.into_response();
    assert_eq!(answer.status(), StatusCode::from_u16(status).expect("a status"));
    let document: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert!(!document.to_string().contains(MARKER), "{document}");
}

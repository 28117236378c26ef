//! Fuzz targets for paths and whole requests: a path has one meaning, no problem repeats what was sent, and no answer
//! is a server error. `./check --long` searches for hours.

use std::future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bolero::check;
use dataapi_core::{
    Decision, Dialogs, Evidence, Invalid, MemoryStore, NewDialog, RefKey, SystemClock,
};
use dataapi_wire::dialog_url;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::time::timeout;

use crate::problem::Problem;
use crate::router::Found;
use crate::{Config, serve};

/// A marker that the inputs have in place of a text or an id.
const MARKER: &str = "MARKER";

/// How long a connection may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn path() {
    check!(name = "path").for_each(|input: &[u8]| {
        let Ok(path) = str::from_utf8(input) else { return };
        let Some(found) = Found::at(path) else { return };
        assert!(path.starts_with(found.prefix.as_str()));
        assert!(!found.allowed().is_empty(), "every route supports a method");
        let [first, second] = found.parameters;
        match found.template() {
            "/data/{customerId}/{dialogId}" => {
                let (customer, dialog) = match (first.customer_id(), second.dialog_id()) {
                    (Ok(customer), Ok(dialog)) => (customer, dialog),
                    (Err(invalid), _) | (_, Err(invalid)) => return tells_nothing(invalid),
                };
                let prefix = found.prefix.as_str();
                let url = dialog_url(prefix, customer.as_str(), dialog.as_str());
                let again = Found::at(&url).expect("a path");
                assert_eq!(again.template(), found.template());
                assert_eq!(again.prefix, found.prefix);
                let [c, d] = again.parameters;
                assert_eq!((c.customer_id(), d.dialog_id()), (Ok(customer), Ok(dialog)));
            }
            "/consents/{dialogId}" | "/consents/{dialogId}/receipt" => {
                first.dialog_id().map_or_else(tells_nothing, drop);
            }
            "/customers/{customerId}" | "/customers/{customerId}/data" => {
                first.customer_id().map_or_else(tells_nothing, drop);
            }
            _ => {}
        }
    });
}

#[test]
fn connection() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let address = runtime.block_on(server());
    let runtime = AssertUnwindSafe(runtime);
    check!(name = "connection").for_each(|input: &[u8]| {
        // A request can wait for an event for a minute, which is not a hang.
        if input.to_ascii_lowercase().windows(4).any(|word| word == b"wait") {
            return;
        }
        let answers = runtime.block_on(async { timeout(PATIENCE, send(address, input)).await });
        let answers = answers.expect("the connection ends");
        assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."), "the server speaks HTTP");
        assert!(!answers.windows(11).any(is_fault), "{}", String::from_utf8_lossy(&answers));
    });
}

/// Starts a server with one dialog. It ends with the runtime.
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
    // The server can close the connection before it has read everything.
    let _ = client.write_all(input).await;
    let _ = client.shutdown().await;
    let mut answers = Vec::new();
    let _ = client.read_to_end(&mut answers).await;
    answers
}

fn is_fault(bytes: &[u8]) -> bool {
    matches!(bytes, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'5', _])
}

fn tells_nothing(invalid: Invalid) {
    let answer = Problem::from(invalid).into_response();
    assert_eq!(answer.status(), 422);
    let document: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert!(!document.to_string().contains(MARKER), "{document}");
}

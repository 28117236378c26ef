//! What clients can make the server hold: it counts, and one of them leaves room for the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_core::{Decision, DialogStore, Evidence, NewDialog};
use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::greedy::greedy;
use crate::keys::{key, secret, with};
use crate::patience::PATIENCE;
use crate::server::{Server, memory, read};

/// How many long dialogs there are. Each takes 393 kB in JSON.
const LONG: usize = 18;

/// The limit of the server. Five eighths are for large answers: five pages of all long dialogs.
const BUFFERED: usize = 64 << 20;

async fn with_long_dialogs() -> Arc<dyn DialogStore> {
    let store = memory();
    for number in 0..LONG {
        let id = format!("long-{number}");
        let dialog = NewDialog::parse("anna", &id, "en", &"\u{1}".repeat(64 * 1024));
        store.insert(dialog.expect("a dialog")).await.expect("it is stored");
        let id = id.parse().expect("an id");
        store.decide(id, Decision::Granted, Evidence::default()).await.expect("it is granted");
    }
    store
}

#[tokio::test]
async fn clients_of_one_key_that_read_nothing_do_not_keep_anothers_pages_out() {
    let store = with_long_dialogs().await;
    for number in [1, 2] {
        key(&*store, number, "read", None).await;
    }
    let config = Config { max_buffered_bytes: BUFFERED, page_cache_bytes: 0, ..Config::default() };
    let server = Server::start(store, config).await;
    let header = format!("authorization: Bearer {}\r\n", secret(1));
    let (mut held, mut refused) = (Vec::new(), 0);
    for number in 0..8 {
        let target = format!("/data/?limit={}", 100 + number);
        match greedy(server.address, &target, &header).await {
            (Some(200), connection) => held.push(connection),
            (status, _) => {
                assert_eq!(status, Some(503));
                refused += 1;
            }
        }
    }
    assert!(!held.is_empty() && refused > 0, "{} pages are held", held.len());
    let page = with(&server, 2, "GET", "/data/?limit=1000", "").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.json()["items"].as_array().map(Vec::len), Some(LONG));
}

#[tokio::test]
async fn a_page_that_is_kept_ready_counts_as_long_as_it_is_sent() {
    let config = Config { max_buffered_bytes: BUFFERED, ..Config::default() };
    let server = Server::start(with_long_dialogs().await, config).await;
    let (mut held, mut refused) = (Vec::new(), 0);
    for number in 0..12 {
        let target = format!("/data/?from=2020-01-01T00:00:{number:02}Z");
        match greedy(server.address, &target, "").await {
            (Some(200), connection) => held.push(connection),
            (status, _) => {
                assert_eq!(status, Some(503));
                refused += 1;
            }
        }
    }
    // One in the cache of 8 MiB, and half of the room for large answers.
    assert!(held.len() <= 5 && refused > 0, "{} pages are held", held.len());
    drop(held);
    let started = Instant::now();
    while server.get("/data/?from=2020-01-01T00:00:30Z").await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "the room is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_page_that_is_too_long_for_one_answer_says_that_the_limit_must_be_lower() {
    let config = Config { max_buffered_bytes: 4 << 20, ..Config::default() };
    let server = Server::start(with_long_dialogs().await, config).await;
    for target in ["/data/", "/customers/anna/data", "/changes?dialogs=true"] {
        let answer = server.get(target).await;
        assert_eq!((answer.status, &*answer.problem()), (400, "bad-query"), "{target}");
        assert_eq!(answer.json()["field"], "limit", "{target}");
        let less = if target.contains('?') { "&limit=1" } else { "?limit=1" };
        assert_eq!(server.get(&format!("{target}{less}")).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn the_longest_text_that_can_be_allowed_is_stored_and_read_with_the_default_room() {
    let longest = 16 << 20;
    let config = Config { max_text_bytes: longest, ..Config::default() };
    assert!(config.least_buffered_bytes() <= config.max_buffered_bytes);
    let server = Server::start(memory(), config).await;
    server.consented("anna", "long", "en", &"x".repeat(longest)).await;
    for target in
        ["/data/?limit=1", "/customers/anna/data?limit=1", "/changes?dialogs=true&limit=1"]
    {
        let answer = server.get(target).await;
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.body.len() > longest, "{target}");
    }
}

/// The number of requests that are being answered, with the one that asks.
pub(crate) async fn in_flight(server: &Server) -> u64 {
    let metrics = server.get("/metrics").await;
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("dataapi_http_requests_in_flight ").map(str::to_owned));
    line.expect("the gauge").parse().expect("a number")
}

async fn waits(server: &Server) -> TcpStream {
    let mut waiting = server.connect().await;
    let request = b"GET /changes?wait=60s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    waiting.write_all(request).await.expect("it is sent");
    waiting
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_is_not_waited_for() {
    let server = Server::memory().await;
    let waiting = [waits(&server).await, waits(&server).await];
    let started = Instant::now();
    while in_flight(&server).await < 3 {
        assert!(started.elapsed() < PATIENCE, "they never wait");
    }
    waiting[0].set_zero_linger().expect("an option of sockets");
    drop(waiting);
    let started = Instant::now();
    while in_flight(&server).await > 1 {
        assert!(started.elapsed() < Duration::from_secs(10), "they are waited for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_client_that_closes_its_half_while_it_waits_gets_its_answer() {
    let server = Server::memory().await;
    let mut waiting = waits(&server).await;
    waiting.shutdown().await.expect("a half closed");
    let answer = timeout(Duration::from_secs(10), read(&mut waiting)).await.expect("an answer");
    assert_eq!((answer.status, &answer.json()["events"]), (200, &serde_json::json!([])));
}

//! Thousands of idle, slow and greedy clients: other clients are served meanwhile, memory stays bounded, and all of it
//! is released afterwards.
//!
//! `DATAAPI_IDLE_CONNECTIONS` sets the number of idle clients; there are a tenth as many slow ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::greedy::greedy;
use crate::load::from_env;
use crate::patience::PATIENCE;
use crate::program::{Program, store_in};

/// The server's limit on bodies and answers in memory, in bytes.
const BUFFERED: usize = 64 << 20;

/// The length of texts that make the largest pages: each of their bytes takes six in JSON.
const LONG_TEXT: usize = 64 * 1024;
const LONG_DIALOGS: usize = 48;

/// The number of answers with each status.
type Statuses = BTreeMap<u16, u64>;

fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

fn long_body() -> String {
    json!({"text": "\u{1}".repeat(LONG_TEXT), "language": "en"}).to_string()
}

/// Returns a value from the process's status in `/proc`, in KiB.
fn memory(program: &Program, line: &str) -> u64 {
    let path = format!("/proc/{}/status", program.pid());
    let status = std::fs::read_to_string(path).expect("Linux says");
    let value = status.lines().find_map(|found| found.strip_prefix(line)).expect("the line");
    value.split_whitespace().find_map(|word| word.parse().ok()).expect("a number")
}

/// Runs well-behaved clients until they are told to stop. Each request succeeds or gets 503 with `Retry-After`.
fn others(program: &Program, meanwhile: &'static str) -> (Arc<AtomicBool>, JoinHandle<Statuses>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, base) = (Arc::clone(&stop), program.url(""));
    let asking = tokio::spawn(async move {
        let (client, mut statuses) = (client(), Statuses::new());
        for number in 0.. {
            if stopped.load(Ordering::SeqCst) {
                break;
            }
            let id = format!("{meanwhile}-{number}");
            let body = json!({"text": "words", "language": "de"}).to_string();
            for request in [
                client.post(format!("{base}/data/ben/{id}")).body(body),
                client.post(format!("{base}/consents/{id}")).body("true"),
                client.get(format!("{base}/data/ben/{id}")),
                client.get(format!("{base}/data/?language=de&limit=5")),
            ] {
                let answer = request.send().await.expect("every request gets an answer");
                if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                    assert!(answer.headers().contains_key("retry-after"));
                }
                *statuses.entry(answer.status().as_u16()).or_default() += 1;
                answer.bytes().await.expect("the whole answer");
            }
        }
        statuses
    });
    (stop, asking)
}

async fn connect(program: &Program) -> TcpStream {
    TcpStream::connect(program.address).await.expect("a connection")
}

/// Sends a head or a body byte by byte, until the connection is closed or dropped.
async fn dribble(mut connection: TcpStream, number: usize) {
    let slow_head = format!("GET /data/?customerId={number}");
    let slow_body = format!(
        "POST /data/slow/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{}",
        6 * LONG_TEXT,
        " ".repeat(20_000)
    );
    let start = if number.is_multiple_of(2) { slow_head } else { slow_body };
    if connection.write_all(start.as_bytes()).await.is_err() {
        return;
    }
    while connection.write_all(b" ").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Prints the statuses and the memory while one kind of clients was connected.
fn report(what: &str, program: &Program, statuses: &Statuses) {
    println!(
        "{what}: other clients got {statuses:?}; {} MB resident, at most {} MB so far",
        memory(program, "VmRSS:") / 1024,
        memory(program, "VmHWM:") / 1024
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_slow_and_greedy_clients_hold_nothing_that_others_need() {
    let idle = from_env("DATAAPI_IDLE_CONNECTIONS").unwrap_or(1_000_usize);
    let slow = idle / 10;
    let folder = tempfile::tempdir().expect("a folder");
    let (most, buffered) = ((idle + slow + 1_000).to_string(), BUFFERED.to_string());
    let limits = ["--max-connections", &most, "--max-buffered-bytes", &buffered];
    let mut program = Program::start(&store_in(folder.path()), &limits);
    let client = client();
    for number in 0..LONG_DIALOGS {
        let post = client.post(program.url(&format!("/data/anna/long-{number}"))).body(long_body());
        assert_eq!(post.send().await.expect("an answer").status(), 201);
        let grant = client.post(program.url(&format!("/consents/long-{number}"))).body("true");
        assert_eq!(grant.send().await.expect("an answer").status(), 200);
    }

    let (stop, asking) = others(&program, "idle");
    let mut idles = Vec::new();
    for _ in 0..idle {
        idles.push(connect(&program).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("{idle} idle"), &program, &statuses);
    assert!(statuses.keys().all(|status| *status < 300), "every request succeeded: {statuses:?}");

    let (stop, asking) = others(&program, "slow");
    let mut slows = JoinSet::new();
    for number in 0..slow {
        slows.spawn(dribble(connect(&program).await, number));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("{slow} slow clients in addition"), &program, &statuses);
    let done: u64 = statuses.range(..300).map(|(_, count)| count).sum();
    assert!(done > 0 && statuses.range(300..).all(|(status, _)| *status == 503), "{statuses:?}");

    // Bodies of the maximum length, as many at once as there are connections left.
    let (stop, asking) = others(&program, "full");
    let mut posts = JoinSet::new();
    for number in 0..200 {
        let url = program.url(&format!("/data/carl/limit-{number}"));
        let post = client.post(url).body(long_body());
        posts.spawn(async move { post.send().await.map(|answer| answer.status().as_u16()) });
    }
    let mut full = Statuses::new();
    while let Some(answer) = posts.join_next().await {
        // A client that is refused while it sends its body might see only the end of its connection.
        let status = answer.expect("no panic").unwrap_or(0);
        *full.entry(status).or_default() += 1;
    }
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("200 bodies of the maximum length, {full:?}"), &program, &statuses);
    assert!(full.keys().all(|status| matches!(status, 0 | 201 | 503)), "{full:?}");
    assert!(statuses.range(300..).all(|(status, _)| *status == 503), "{statuses:?}");

    let (stop, asking) = others(&program, "greedy");
    let (mut pages, mut held) = (Statuses::new(), Vec::new());
    for number in 0..40 {
        let target = format!("/data/?language=en&limit={}", 900 + number);
        let (status, connection) = greedy(program.address, &target, "").await;
        *pages.entry(status.unwrap_or_default()).or_default() += 1;
        held.push(connection);
    }
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("40 pages of 19 MB that nobody reads, {pages:?}"), &program, &statuses);
    assert!(pages.keys().all(|status| matches!(status, 200 | 503)), "{pages:?}");
    assert!(pages.contains_key(&503), "not all of them fit into memory: {pages:?}");
    assert!(statuses.keys().all(|status| *status < 300), "small answers have room: {statuses:?}");
    let most = memory(&program, "VmHWM:") / 1024;
    let bound = 400 + idle as u64 / 20;
    assert!(most < bound, "{most} MB of memory, but at most {bound} MB are expected");

    drop((idles, held));
    slows.shutdown().await;
    let (stop, asking) = others(&program, "afterwards");
    // The room is released only when the server has seen that the clients are gone.
    let page = timeout(PATIENCE, async {
        loop {
            let page = client.get(program.url("/data/?language=en&limit=1000")).send().await;
            let page = page.expect("an answer");
            if page.status() == 200 {
                break page.bytes().await.expect("the whole page");
            }
        }
    });
    let page = page.await.expect("there is room again");
    assert!(page.len() > LONG_DIALOGS * LONG_TEXT * 6);
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report("afterwards", &program, &statuses);
    assert!(
        statuses.keys().all(|status| *status < 300),
        "every request succeeds again: {statuses:?}"
    );
    program.signal("TERM");
    let (status, _, log) = program.ended();
    assert!(status.success(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

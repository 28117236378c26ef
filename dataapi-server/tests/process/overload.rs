//! Idle, slow and greedy clients by the thousand: others are served meanwhile, memory stays bounded, and
//! nothing of it is left afterwards.
//!
//! `DATAAPI_IDLE_CONNECTIONS` sets how many are idle; a tenth as many are slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::load::from_env;
use crate::patience::PATIENCE;
use crate::program::{Program, store_in};

/// What is held for clients in memory at most, as the server is told.
const BUFFERED: usize = 64 << 20;

/// Texts that make the largest pages: each byte of them takes six in JSON.
const LONG_TEXT: usize = 64 * 1024;
const LONG_DIALOGS: usize = 48;

/// How many answers had which status.
type Statuses = BTreeMap<u16, u64>;

fn client() -> Client {
    Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client")
}

fn long_body() -> String {
    json!({"text": "\u{1}".repeat(LONG_TEXT), "language": "en"}).to_string()
}

/// A line of what Linux says of a process, in KiB.
fn memory(program: &Program, line: &str) -> u64 {
    let path = format!("/proc/{}/status", program.pid());
    let status = std::fs::read_to_string(path).expect("Linux says");
    let value = status.lines().find_map(|found| found.strip_prefix(line)).expect("the line");
    value.split_whitespace().find_map(|word| word.parse().ok()).expect("a number")
}

/// Well-behaved clients, until they are told to stop: all that they ask for is done, or they are told to
/// come back.
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
                let answer = request.send().await.expect("nobody is left without an answer");
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

/// Sends a little now and then, of a head or of a body, until it is cut or dropped.
async fn dribble(mut connection: TcpStream, number: usize) {
    let slow_head = format!("GET /data/?customerId={number}");
    let slow_body = format!(
        "POST /data/slow/{number} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{}",
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

/// Asks for the largest page there is and takes none of it; returns its status, if there is one.
async fn greedy(program: &Program, number: usize) -> (Option<u16>, TcpStream) {
    let mut connection = connect(program).await;
    let request =
        format!("GET /data/?language=en&limit={} HTTP/1.1\r\nhost: x\r\n\r\n", 900 + number);
    connection.write_all(request.as_bytes()).await.expect("it is sent");
    let mut line = [0; 12];
    let read = timeout(PATIENCE, connection.read_exact(&mut line)).await;
    let status = matches!(read, Ok(Ok(_)))
        .then(|| std::str::from_utf8(&line[9..]).ok().and_then(|digits| digits.parse().ok()));
    (status.flatten(), connection)
}

/// The figures of one kind of crowd.
fn report(what: &str, program: &Program, statuses: &Statuses) {
    println!(
        "{what}: others met {statuses:?}; {} MB resident, {} MB at the most so far",
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
        let yes = client.post(program.url(&format!("/consents/long-{number}"))).body("true");
        assert_eq!(yes.send().await.expect("an answer").status(), 200);
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
    assert!(statuses.keys().all(|status| *status < 300), "all was done: {statuses:?}");

    let (stop, asking) = others(&program, "slow");
    let mut slows = JoinSet::new();
    for number in 0..slow {
        slows.spawn(dribble(connect(&program).await, number));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("{slow} slow ones besides"), &program, &statuses);
    let done: u64 = statuses.range(..300).map(|(_, count)| count).sum();
    assert!(done > 0 && statuses.range(300..).all(|(status, _)| *status == 503), "{statuses:?}");

    // Bodies at the limit, as many at once as connections are left.
    let (stop, asking) = others(&program, "full");
    let mut posts = JoinSet::new();
    for number in 0..200 {
        let url = program.url(&format!("/data/carl/limit-{number}"));
        let post = client.post(url).body(long_body());
        posts.spawn(async move { post.send().await.map(|answer| answer.status().as_u16()) });
    }
    let mut full = Statuses::new();
    while let Some(answer) = posts.join_next().await {
        // One that is refused in the midst of its body may see no more than its connection's end.
        let status = answer.expect("no panic").unwrap_or(0);
        *full.entry(status).or_default() += 1;
    }
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("200 bodies at the limit, {full:?}"), &program, &statuses);
    assert!(full.keys().all(|status| matches!(status, 0 | 201 | 503)), "{full:?}");
    assert!(statuses.range(300..).all(|(status, _)| *status == 503), "{statuses:?}");

    let (stop, asking) = others(&program, "greedy");
    let (mut pages, mut held) = (Statuses::new(), Vec::new());
    for number in 0..40 {
        let (status, connection) = greedy(&program, number).await;
        *pages.entry(status.unwrap_or_default()).or_default() += 1;
        held.push(connection);
    }
    stop.store(true, Ordering::SeqCst);
    let statuses = asking.await.expect("no panic");
    report(&format!("40 pages of 19 MB that nobody takes, {pages:?}"), &program, &statuses);
    assert!(pages.keys().all(|status| matches!(status, 200 | 503)), "{pages:?}");
    assert!(pages.contains_key(&503), "they do not all fit: {pages:?}");
    assert!(statuses.keys().all(|status| *status < 300), "small answers do: {statuses:?}");
    let most = memory(&program, "VmHWM:") / 1024;
    let bound = 400 + idle as u64 / 20;
    assert!(most < bound, "{most} MB at the most, where {bound} are plenty");

    drop((idles, held));
    slows.shutdown().await;
    let (stop, asking) = others(&program, "afterwards");
    // Until the server has seen that they are gone, its room is theirs.
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
    assert!(statuses.keys().all(|status| *status < 300), "all is as before: {statuses:?}");
    program.signal("TERM");
    let (status, _, log) = program.ended();
    assert!(status.success(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

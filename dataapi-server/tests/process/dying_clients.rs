//! Clients that die during every kind of request: the request is done whole or not at all, and the server keeps nothing
//! of the client.
//!
//! `DATAAPI_DYING_ROUNDS` sets how often each kind is cut at each stage, `DATAAPI_DYING_SEED` fixes where.

use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Choices, body, from_env, text};
use crate::patience::PATIENCE;
use crate::program::{Program, not_tested, store_in};

/// The state of a dialog: its consent state, or `absent`.
type Standing = &'static str;

/// A kind of request, and the state of the dialog before and after it.
struct RequestKind {
    request: fn(id: &str) -> Vec<u8>,
    from: Standing,
    to: Standing,
}

/// All kinds of requests. Reads change nothing.
const KINDS: [RequestKind; 13] = [
    RequestKind { request: insert, from: "absent", to: "pending" },
    RequestKind { request: insert_in_chunks, from: "absent", to: "pending" },
    RequestKind {
        request: |id| ask("POST", &format!("/consents/{id}"), "true"),
        from: "pending",
        to: "granted",
    },
    RequestKind {
        request: |id| ask("POST", &format!("/consents/{id}"), "false"),
        from: "pending",
        to: "withdrawn",
    },
    RequestKind {
        request: |id| ask("POST", &format!("/consents/{id}"), "false"),
        from: "granted",
        to: "withdrawn",
    },
    RequestKind {
        request: |id| ask("DELETE", &format!("/data/{id}/{id}"), ""),
        from: "granted",
        to: "erased",
    },
    RequestKind {
        request: |id| ask("DELETE", &format!("/customers/{id}"), ""),
        from: "pending",
        to: "erased",
    },
    reads(|id| ask("GET", &format!("/data/{id}/{id}"), "")),
    reads(|_| ask("GET", "/data/?limit=1000", "")),
    reads(|_| ask("GET", "/data/?limit=1000&offset=5", "")),
    reads(|_| ask("GET", "/customers/page/data?limit=1000", "")),
    reads(|_| ask("GET", "/changes?dialogs=true&limit=1000", "")),
    reads(|_| ask("GET", "/changes?after=1000000&wait=1s", "")),
];

const fn reads(request: fn(&str) -> Vec<u8>) -> RequestKind {
    RequestKind { request, from: "granted", to: "granted" }
}

fn ask(method: &str, target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into()
}

fn insert(id: &str) -> Vec<u8> {
    ask("POST", &format!("/data/{id}/{id}"), &body(id))
}

fn insert_in_chunks(id: &str) -> Vec<u8> {
    let body = body(id);
    let (first, second) = body.split_at(20);
    let head =
        format!("POST /data/{id}/{id} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked");
    let (one, other) = (first.len(), second.len());
    format!("{head}\r\n\r\n{one:x}\r\n{first}\r\n{other:x}\r\n{second}\r\n0\r\n\r\n").into()
}

/// The stage of the request at which the client dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    RequestLine,
    Headers,
    Body,
    LastByte,
    /// The whole request is sent, and nothing is read.
    Sent,
    /// The whole request is sent, and a part of the answer is read.
    Answer,
}

const STAGES: [Stage; 6] =
    [Stage::RequestLine, Stage::Headers, Stage::Body, Stage::LastByte, Stage::Sent, Stage::Answer];

/// Chooses how many bytes of the request are sent.
fn cut(request: &[u8], stage: Stage, choices: &mut Choices) -> usize {
    let find = |pattern: &[u8]| {
        request.windows(pattern.len()).position(|at| at == pattern).expect("a whole request")
    };
    let (line, head) = (find(b"\r\n"), find(b"\r\n\r\n") + 4);
    let mut between = |from: usize, to: usize| {
        from + usize::try_from(choices.below((to - from) as u64)).expect("a small number")
    };
    match stage {
        Stage::RequestLine => between(0, line),
        Stage::Headers => between(line, head),
        Stage::Body => between(head.min(request.len() - 1), request.len()),
        Stage::LastByte => request.len() - 1,
        Stage::Sent | Stage::Answer => request.len(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Death {
    Closed,
    Reset,
    /// The client closes its half of the connection and reads nothing more.
    HalfClosed,
}

const DEATHS: [Death; 3] = [Death::Closed, Death::Reset, Death::HalfClosed];

/// Sends a part of the request, reads a part of the answer if `stage` says so, and dies.
async fn die(program: &Program, part: &[u8], stage: Stage, death: Death) {
    let mut connection = TcpStream::connect(program.address).await.expect("a connection");
    connection.write_all(part).await.expect("a part is sent");
    if stage == Stage::Answer {
        connection.read_exact(&mut [0; 20]).await.expect("a part of the answer");
    }
    match death {
        Death::Closed => {}
        Death::Reset => connection.set_zero_linger().expect("an option of sockets"),
        Death::HalfClosed => {
            connection.shutdown().await.expect("it is open");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Brings a new dialog into the state `standing`.
async fn prepare(client: &Client, program: &Program, id: &str, standing: Standing) {
    let mut requests = Vec::new();
    if standing != "absent" {
        requests.push((format!("/data/{id}/{id}"), body(id)));
    }
    if standing == "granted" {
        requests.push((format!("/consents/{id}"), "true".to_owned()));
    }
    for (path, body) in requests {
        let answer = client.post(program.url(&path)).body(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

/// Returns the state of a dialog, and checks that its text is readable if it should be, and complete.
async fn standing(client: &Client, program: &Program, id: &str) -> String {
    let get = async |path: String| {
        let answer = client.get(program.url(&path)).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let (status, consent) = get(format!("/consents/{id}")).await;
    let standing = if status == 404 { "absent" } else { consent["consent"].as_str().expect("one") };
    let (status, dialog) = get(format!("/data/{id}/{id}")).await;
    let (_, held) = get(format!("/customers/{id}/data")).await;
    let held = &held["items"];
    match standing {
        "granted" => assert_eq!((status, &dialog["text"]), (200, &text(id).into()), "{id}"),
        "pending" => assert_eq!(status, 403, "{id}"),
        _ => assert_eq!(status, 404, "{id}"),
    }
    match standing {
        "granted" | "pending" => assert_eq!(held[0]["text"], text(id), "{id}"),
        _ => assert_eq!(held, &Value::Array(Vec::new()), "{id}"),
    }
    standing.to_owned()
}

/// Waits until the server answers no request but the one that checks this.
async fn is_idle(client: &Client, program: &Program) {
    becomes(async || {
        let answer = client.get(program.url("/metrics")).send().await.expect("an answer");
        let metrics = answer.text().await.expect("metrics");
        metrics.lines().any(|line| line == "dataapi_http_requests_in_flight 1")
    })
    .await;
}

/// Waits until the connections of the dead clients are closed.
async fn has_open(program: &Program, files: Option<usize>) {
    if let Some(files) = files {
        becomes(async || open_files(program).is_some_and(|now| now <= files)).await;
    } else {
        not_tested("open files: this system does not show them");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn becomes(condition: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "the server is still busy with dead clients");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns how many files and connections the server has open; `None` if the system does not show them.
fn open_files(program: &Program) -> Option<usize> {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", program.pid()));
    folder.ok().map(Iterator::count)
}

#[tokio::test]
async fn a_client_that_dies_leaves_all_or_nothing_and_nothing_of_itself() {
    let rounds = from_env("DATAAPI_DYING_ROUNDS").unwrap_or(1);
    let mut choices = Choices::seeded("DATAAPI_DYING_SEED");
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let mut program = Program::start(&store, &[]);
    // This client opens a connection for each request, so that it does not add to the open ones.
    let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    // Their page is larger than all buffers between the server and a client that does not read.
    for number in 0..60 {
        prepare_page(&client, &program, number).await;
    }
    is_idle(&client, &program).await;
    let before = open_files(&program);

    for round in 0..rounds {
        let mut doomed = Vec::new();
        for (number, kind) in KINDS.iter().enumerate() {
            for stage in STAGES {
                for death in DEATHS {
                    let id = format!("r{round}k{number}{stage:?}{death:?}");
                    prepare(&client, &program, &id, kind.from).await;
                    let request = (kind.request)(&id);
                    let sent = cut(&request, stage, &mut choices);
                    die(&program, &request[..sent], stage, death).await;
                    doomed.push((id, kind, stage, sent == request.len()));
                }
            }
        }
        has_open(&program, before).await;
        is_idle(&client, &program).await;
        for (id, kind, stage, is_whole) in &doomed {
            let standing = standing(&client, &program, id).await;
            let is_done = standing == kind.to;
            assert!(is_done || standing == kind.from, "{id} is {standing}");
            assert!(
                *is_whole || standing == kind.from,
                "{id} is {standing}, but the request was incomplete"
            );
            assert!(
                is_done || *stage != Stage::Answer,
                "{id} is {standing}, but the request was answered"
            );
        }
    }

    program.signal("TERM");
    assert!(program.ended().0.success());
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}

/// Stores a consented dialog with a long text.
async fn prepare_page(client: &Client, program: &Program, number: usize) {
    let id = format!("page-{number}");
    let dialog = serde_json::json!({"text": "x".repeat(60_000), "language": "en"}).to_string();
    for (path, body) in
        [(format!("/data/page/{id}"), dialog), (format!("/consents/{id}"), "true".to_owned())]
    {
        let answer = client.post(program.url(&path)).body(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

//! No free file descriptors: connected clients are served, idle ones make place, and the store stays intact.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::load::{Dialogs, Remembered, State, body, check, client, nothing_withdrawn_is_left};
use crate::patience::PATIENCE;
use crate::program::{Program, store_in};

fn start(store: &str, descriptors: usize) -> Result<Program, String> {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!(r#"ulimit -n {descriptors}; exec "$0" "$@""#)])
        .arg(env!("CARGO_BIN_EXE_dataapi-server"))
        .args(["--listen", "127.0.0.1:0", "--store", store]);
    Program::try_spawn(&mut command)
}

/// Sends one request on a connection that stays open. Returns the status, if the answer comes in time.
fn ask(connection: &mut TcpStream, request: &str, patience: Duration) -> Option<u16> {
    connection.set_read_timeout(Some(patience)).expect("a timeout");
    connection.write_all(request.as_bytes()).expect("a request sent");
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("an ASCII head").to_lowercase();
    let (_, rest) = head.split_once("content-length: ").expect("a length");
    let length = rest.lines().next().expect("a line").parse().expect("a number");
    connection.read_exact(&mut vec![0; length]).expect("the body");
    head.split(' ').nth(1).expect("a status").parse().ok()
}

fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn without_descriptors_those_who_ask_are_served_and_idle_connections_are_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    // Enough for the store, which has a reader for each processor, and for a few connections.
    let processors = std::thread::available_parallelism().expect("processors").get();
    let descriptors = 60 + 4 * processors;
    let mut program = start(&store, descriptors).expect("it starts");
    let mut first = TcpStream::connect(program.address).expect("a connection");
    let live = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(&mut first, live, PATIENCE), Some(200));

    // The kernel queues all of them, but the server can accept only some.
    let mut rest: Vec<_> = (0..descriptors * 2)
        .map(|_| TcpStream::connect(program.address).expect("a connection"))
        .collect();
    let mut dialogs = Dialogs::new();
    program.logs("cannot accept a connection");
    for number in 0..60 {
        let id = format!("d-{number}");
        let target = format!("/data/d/{id}");
        assert_eq!(ask(&mut first, &post(&target, &body(&id)), PATIENCE), Some(201));
        let mut state = State::Pending;
        if number % 3 > 0 {
            let consent = format!("/consents/{id}");
            assert_eq!(ask(&mut first, &post(&consent, "true"), PATIENCE), Some(200));
            state = State::Granted;
            if number % 3 == 2 {
                assert_eq!(ask(&mut first, &post(&consent, "false"), PATIENCE), Some(200));
                state = State::Withdrawn;
            }
        }
        for target in ["/data/?limit=1000&offset=1", "/customers/d/data", "/stats", "/health/ready"]
        {
            let get = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            assert_eq!(ask(&mut first, &get, PATIENCE), Some(200), "{target}");
        }
        dialogs.insert(id, Remembered::is(state));
    }
    // The files of the store are scrubbed all the same.
    nothing_withdrawn_is_left(&store, &dialogs).await;

    // Those who only wait for descriptors make place, the oldest first.
    let mut last = rest.pop().expect("a connection");
    assert_eq!(ask(&mut last, live, PATIENCE), Some(200), "it is served");
    drop(rest);
    assert_eq!(ask(&mut first, live, PATIENCE), Some(200));

    check(&client(), &program, &mut dialogs, "").await;
    program.signal("TERM");
    assert!(program.ended().0.success());
    assert_eq!(dataapi::check(&store).await.expect("a store"), []);
}

#[test]
fn a_server_with_too_few_descriptors_for_its_store_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    for descriptors in (16..26).step_by(2) {
        let log = start(&store, descriptors).err().expect("a refusal");
        let line = log.lines().last().expect("a line");
        assert!(line.starts_with("dataapi-server: cannot open the store"), "{descriptors}: {log}");
        assert!(line.contains("the limit on open files per process"), "{descriptors}: {log}");
        assert!(!log.contains("panicked"), "{descriptors}: {log}");
    }
    drop(Program::start(&store, &[]));
}

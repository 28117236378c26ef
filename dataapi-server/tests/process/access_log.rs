//! The file of the access log: rotation, full disks, named pipes, and clients who would fill it.
//!
//! `DATAAPI_FLOOD_SECONDS` sets for how long a stranger sends requests.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use crate::load::{client, from_env};
use crate::patience::PATIENCE;
use crate::program::{Program, command, store_in};

const DIALOG: &str = r#"{"text":"x","language":"en"}"#;

/// Requests that each take longer than [`PATIENCE`] fail.
async fn status(client: &Client, program: &Program, path: &str) -> u16 {
    let request = client.get(program.url(path)).timeout(PATIENCE);
    request.send().await.expect("an answer").status().as_u16()
}

async fn post(client: &Client, program: &Program, path: &str, body: &'static str) -> u16 {
    let request = client.post(program.url(path)).body(body).timeout(PATIENCE);
    request.send().await.expect("an answer").status().as_u16()
}

async fn metric(client: &Client, program: &Program, name: &str) -> u64 {
    let request = client.get(program.url("/metrics")).timeout(PATIENCE);
    let metrics = request.send().await.expect("an answer").text().await.expect("the metrics");
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
}

fn parsed(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not whole: {line}"));
    lines.lines().map(parse).collect()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_of_the_log_is_told_once_and_refuses_nobody() {
    let mut program = Program::start("memory:", &["--access-log", "/dev/full"]);
    let client = client();
    for _ in 0..20 {
        assert_eq!(status(&client, &program, "/data/").await, 200);
    }
    assert_eq!(metric(&client, &program, "dataapi_access_log_lost_lines_total").await, 20);
    assert_eq!(metric(&client, &program, "dataapi_access_log_failing").await, 1);
    program.signal("TERM");
    let (_, _, log) = program.ended();
    assert_eq!(log.matches("the access log cannot be written").count(), 1, "{log}");
    assert!(log.contains("WARN"), "{log}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_of_a_required_log_refuses_requests_for_data_and_they_change_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_in(folder.path());
    let arguments = ["--access-log", "/dev/full", "--require-access-log"];
    let mut program = Program::start(&store, &arguments);
    let client = client();
    for path in ["/data/", "/data/anna/d-1", "/customers/anna/data", "/changes", "/stats"] {
        assert_eq!(status(&client, &program, path).await, 503, "{path}");
    }
    assert_eq!(post(&client, &program, "/data/anna/d-1", DIALOG).await, 503);
    for path in ["/health/live", "/health/ready", "/metrics", "/version", "/openapi.json"] {
        assert_eq!(status(&client, &program, path).await, 200, "{path}");
    }
    program.signal("TERM");
    program.ended();
    let program = Program::start(&store, &[]);
    assert_eq!(status(&client, &program, "/consents/d-1").await, 404, "nothing was stored");
}

#[tokio::test]
async fn the_flood_of_a_stranger_is_counted_in_few_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, log) = (store_in(folder.path()), folder.path().join("access.jsonl"));
    let opened = dataapi::open(&store).await.expect("a store");
    let key = dataapi_core::NewKey {
        name: "key".parse().expect("a name"),
        grant: "read".parse::<dataapi_core::Roles>().expect("roles").into(),
        hash: dataapi_core::KeySecret::from_bytes([7; 32]).hash(),
        expires: None,
    };
    opened.create_key(key).await.expect("a key");
    drop(opened);
    let mut program = Program::start(&store, &["--access-log", log.to_str().expect("UTF-8")]);
    let client = client();
    let seconds = from_env("DATAAPI_FLOOD_SECONDS").unwrap_or_default();
    let (started, mut sent) = (Instant::now(), 0);
    while sent < 3_000 || started.elapsed() < Duration::from_secs(seconds) {
        assert_eq!(status(&client, &program, "/data/").await, 401);
        sent += 1;
    }
    let minutes = started.elapsed().as_secs() / 60;
    let written = fs::read_to_string(&log).expect("the log");
    let counts = written.matches("suppressed").count() as u64;
    // The server's minutes began a little earlier.
    assert!(counts.abs_diff(minutes) <= 1, "{counts} counts in {minutes} minutes");
    assert!(counts > 0 || minutes == 0, "the number of a minute is written when it is over");
    program.signal("TERM");
    assert!(program.ended().0.success());
    let written = fs::read_to_string(&log).expect("the log");
    // One line for each request would take half a megabyte in the first seconds.
    let bound = 16 * 1024 * (minutes + 2);
    assert!((written.len() as u64) < bound, "{} bytes", written.len());
    let lines = parsed(&written);
    let (counted, told): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.get("suppressed").is_some());
    let counted: u64 = counted.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    assert_eq!(told.len() as u64 + counted, sent, "none is missing from the number");
}

/// Sends requests until it is told to stop. Returns the ids of those that were answered.
async fn ask_until(program: Arc<Program>, done: Arc<AtomicBool>) -> Vec<String> {
    let client = client();
    let mut answered = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let request = client.get(program.url("/data/")).timeout(PATIENCE);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let id = answer.headers()["x-request-id"].to_str().expect("an id").to_owned();
        answered.push(id);
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_log_is_continued_in_a_new_file_and_loses_no_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.jsonl");
    let program = Program::start("memory:", &["--access-log", log.to_str().expect("UTF-8")]);
    let (program, done) = (Arc::new(program), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> =
        (0..4).map(|_| tokio::spawn(ask_until(Arc::clone(&program), Arc::clone(&done)))).collect();
    let mut files = vec![log.clone()];
    for number in 0..5 {
        let size = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
        until("lines are written", async || size(&log) > 0).await;
        let rotated = folder.path().join(format!("access.jsonl.{number}"));
        fs::rename(&log, &rotated).expect("renamed");
        program.signal("HUP");
        until("there is a new file", async || log.exists()).await;
        files.push(rotated);
    }
    done.store(true, Ordering::Relaxed);
    let mut answered = BTreeSet::new();
    for client in clients {
        answered.extend(client.await.expect("no panic"));
    }
    let mut logged = Vec::new();
    for file in &files {
        logged.extend(parsed(&fs::read_to_string(file).expect("a log")));
    }
    let ids: BTreeSet<_> =
        logged.iter().map(|line| line["request_id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(logged.len(), ids.len(), "no line is there twice");
    assert_eq!(ids, answered);
}

#[tokio::test]
async fn a_rotation_that_fails_goes_on_in_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    let log = logs.join("access.jsonl");
    let program = Program::start("memory:", &["--access-log", log.to_str().expect("UTF-8")]);
    let moved = folder.path().join("moved");
    fs::rename(&logs, &moved).expect("renamed");
    program.signal("HUP");
    program.logs("still writing to the old file");
    assert_eq!(status(&client(), &program, "/data/").await, 200);
    let written = fs::read_to_string(moved.join("access.jsonl")).expect("the log");
    assert_eq!(parsed(&written).len(), 1);
}

#[tokio::test]
async fn a_hangup_ends_no_server_whatever_it_was_started_with() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.jsonl");
    for arguments in [&[][..], &["--access-log", log.to_str().expect("UTF-8")]] {
        let mut program = Program::start("memory:", arguments);
        for _ in 0..3 {
            program.signal("HUP");
            assert_eq!(status(&client(), &program, "/data/").await, 200, "{arguments:?}");
        }
        program.signal("TERM");
        assert!(program.ended().0.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_hangup_is_obeyed_while_the_store_is_being_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.jsonl");
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let store = format!("postgres://u@{}/d", silent.local_addr().expect("an address"));
    let mut server = command(&["--listen", "127.0.0.1:0", "--store", &store, "--access-log"])
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let _connection = silent.accept().expect("the program opens the store");
    fs::rename(&log, folder.path().join("rotated")).expect("renamed");
    let pid = server.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs").success());
    until("there is a new file", async || {
        assert_eq!(server.try_wait().expect("a child"), None, "the server goes on");
        log.exists()
    })
    .await;
    server.kill().expect("it can be killed");
    server.wait().expect("it ended");
}

/// A named pipe.
struct Pipe(PathBuf);

impl Pipe {
    fn create(folder: &Path) -> Self {
        let path = folder.join("access.pipe");
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
        Self(path)
    }

    /// Begins to read. The server can open the pipe as long as the value lives.
    fn reader(&self) -> Reader {
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(&self.0);
        Reader { file: file.expect("the pipe"), taken: Vec::new() }
    }
}

struct Reader {
    file: File,
    taken: Vec<u8>,
}

impl Reader {
    /// Takes what is in the pipe. Returns the whole lines that were taken so far.
    fn lines(&mut self) -> Vec<Value> {
        match self.file.read_to_end(&mut self.taken) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        let end = self.taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        parsed(std::str::from_utf8(&self.taken[..end]).expect("UTF-8"))
    }
}

/// Counts the lines of requests. A line that tells of lost ones comes after a second without a loss.
fn of_requests(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line.get("lost").is_none()).count()
}

#[tokio::test]
async fn a_pipe_without_a_reader_holds_nothing_up_and_is_used_once_it_has_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = Pipe::create(folder.path());
    let path = pipe.0.to_str().expect("UTF-8");
    let program = Program::start("memory:", &["--access-log", path]);
    let client = client();
    assert_eq!(status(&client, &program, "/data/").await, 200);
    assert_eq!(metric(&client, &program, "dataapi_access_log_failing").await, 1);
    program.logs("the access log cannot be written");
    for _ in 0..2 {
        let mut reader = pipe.reader();
        assert_eq!(status(&client, &program, "/data/").await, 200);
        assert_eq!(of_requests(&reader.lines()), 1);
        drop(reader);
        assert_eq!(status(&client, &program, "/data/").await, 200, "the reader is gone");
    }

    let arguments = ["--access-log", path, "--require-access-log"];
    let program = Program::start("memory:", &arguments);
    assert_eq!(status(&client, &program, "/data/").await, 503);
    let mut reader = pipe.reader();
    assert_eq!(status(&client, &program, "/data/").await, 200);
    assert_eq!(of_requests(&reader.lines()), 1);
}

#[tokio::test]
async fn a_slow_reader_of_a_pipe_holds_nothing_up_and_gets_only_whole_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = Pipe::create(folder.path());
    let path = pipe.0.to_str().expect("UTF-8");
    let program = Program::start("memory:", &["--access-log", path]);
    let mut reader = pipe.reader();
    let client = client();
    // Longer than what a pipe takes at once, so that a full pipe takes a part of it.
    let part = "-abcdefgh".repeat(25);
    let languages: Vec<_> = (0..31).map(|number| format!("language=en-x-{number}{part}")).collect();
    let long = format!("/data/?{}", languages.join("&"));
    let mut asked = 0;
    until("the pipe is full", async || {
        for path in ["/data/", &long] {
            assert_eq!(status(&client, &program, path).await, 200);
            asked += 1;
        }
        metric(&client, &program, "dataapi_access_log_lost_lines_total").await > 2
    })
    .await;
    let lines = reader.lines();
    assert!(!lines.is_empty() && lines.len() < asked * 2, "{}", lines.len());
    let mut told = Value::Null;
    until("lines are written again", async || {
        assert_eq!(status(&client, &program, &long).await, 200);
        if let Some(line) = reader.lines().iter().find(|line| line.get("lost").is_some()) {
            told = line["lost"].clone();
        }
        !told.is_null()
    })
    .await;
    let lost = metric(&client, &program, "dataapi_access_log_lost_lines_total").await;
    assert_eq!(told, json!(lost));
}

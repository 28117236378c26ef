//! SIGTERM and SIGINT: running requests are finished and the exit status is success. SIGHUP: a new certificate is
//! loaded.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::certificates::{Authority, Files, ask, client, connect, shown_by};
use crate::program::{Program, command, store_in};

const BODY: &[u8] = br#"{"text":"x","language":"en"}"#;

/// Begins a request, up to the point where the server waits for the body.
fn in_flight(program: &Program) -> TcpStream {
    let mut connection = TcpStream::connect(program.address).expect("a connection");
    let length = BODY.len();
    let head = format!(
        "POST /data/anna/d-1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\
         expect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).expect("the head");
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut go_on).expect("to go on");
    connection
}

#[tokio::test]
async fn a_signal_finishes_what_runs_and_exits_with_success() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(folder.path());
        let mut program = Program::start(&store, &[]);
        let mut connection = in_flight(&program);
        program.signal(signal);
        program.no_longer_listens();
        connection.write_all(BODY).expect("the body");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let (status, _, log) = program.ended();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");

        let again = Program::start(&store, &[]);
        let url = again.url("/consents/d-1");
        let answer = reqwest::get(url).await.expect("an answer");
        assert_eq!(answer.status(), 200, "the acknowledged dialog is stored");
    }
}

/// The time in which requests in flight have to finish by default, less than orchestrators wait before they kill.
const GRACE: Duration = Duration::from_secs(5);

#[test]
fn clients_that_only_wait_do_not_hold_up_the_end() {
    let mut program = Program::start("memory:", &[]);
    let _silent = TcpStream::connect(program.address).expect("a connection");
    let mut partial = TcpStream::connect(program.address).expect("a connection");
    partial.write_all(b"GET /data/ HTTP/1.1\r\nhost").expect("a part of a head");
    let mut idle = TcpStream::connect(program.address).expect("a connection");
    let get = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n";
    idle.write_all(get.as_bytes()).expect("a request");
    idle.read_exact(&mut [0; 12]).expect("an answer");
    let mut poll = TcpStream::connect(program.address).expect("a connection");
    // The server begins the second request before it does anything else after the answer to the first.
    let gets = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n\
                GET /changes?wait=60s HTTP/1.1\r\nhost: localhost\r\n\r\n";
    poll.write_all(gets.as_bytes()).expect("two requests");
    let mut first = Vec::new();
    while !first.ends_with(b"}") {
        let mut byte = [0];
        poll.read_exact(&mut byte).expect("an answer");
        first.push(byte[0]);
    }
    let signalled = Instant::now();
    program.signal("TERM");
    let mut answer = String::new();
    poll.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(r#""events":[]"#), "{answer}");
    let (status, _, log) = program.ended();
    assert!(status.success(), "{log}");
    assert!(signalled.elapsed() < GRACE, "it took {:?}", signalled.elapsed());
    assert!(!log.contains("did not end in time"), "{log}");
}

#[test]
fn requests_in_flight_have_the_time_that_the_operator_gives_them() {
    let mut program = Program::start("memory:", &["--shutdown-grace", "100ms"]);
    let _never_finished = in_flight(&program);
    let signalled = Instant::now();
    program.signal("TERM");
    let (status, _, log) = program.ended();
    assert!(status.success() && log.contains("did not end in time"), "{log}");
    assert!(signalled.elapsed() < GRACE, "it took {:?}", signalled.elapsed());
}

#[test]
fn a_signal_ends_it_while_the_store_is_being_opened() {
    for signal in ["TERM", "INT"] {
        // A PostgreSQL that takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = silent.local_addr().expect("an address").port();
        let store = format!("postgres://nobody@127.0.0.1:{port}/none");
        let mut starting = command(&["--listen", "127.0.0.1:0", "--store", &store])
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let _asked = silent.accept().expect("it asks the database");
        let signalled = Instant::now();
        let pid = starting.id().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill runs").success());
        let status = starting.wait().expect("it ends");
        assert!(signalled.elapsed() < GRACE, "it took {:?}", signalled.elapsed());
        let mut log = String::new();
        starting.stderr.take().expect("a log").read_to_string(&mut log).expect("the log");
        assert!(status.success() && log.contains("stopped before the store was open"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut program = Program::start("memory:", &[]);
        let _never_finished = in_flight(&program);
        program.signal("TERM");
        program.no_longer_listens();
        program.signal(signal);
        assert_eq!(program.ended().0.code(), Some(code));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_writes_no_memory_to_a_file() {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"ulimit -c unlimited; exec "$0" "$@""#])
        .arg(env!("CARGO_BIN_EXE_dataapi-server"))
        .args(["--listen", "127.0.0.1:0", "--store", "memory:"])
        .current_dir(folder.path());
    let mut program = Program::spawn(&mut command);
    program.signal("ABRT");
    let (status, _, _) = program.ended();
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped(), "core dumps are off");
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[tokio::test]
async fn a_hangup_takes_a_new_certificate_while_connections_go_on() {
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let [certificate, key] = ["server.pem", "server.key"].map(|name| files.path(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let tls = ["--tls-certificate", certificate, "--tls-key", key];
    let mut program = Program::start("memory:", &tls);
    assert!(program.start_line.contains("https://"), "{}", program.start_line);
    let client = client(&authority, b"http/1.1", None);
    let mut before = connect(program.address, &client).await.expect("a connection");
    files.renew(&authority);
    program.signal("HUP");
    let mut after = loop {
        let connection = connect(program.address, &client).await.expect("a connection");
        if shown_by(&connection) != shown_by(&before) {
            break connection;
        }
    };
    for connection in [&mut before, &mut after] {
        assert_eq!(ask(connection).await.expect("an answer"), "HTTP/1.1 200 OK");
    }
    drop((before, after));
    program.signal("TERM");
    let (status, _, log) = program.ended();
    assert!(status.success() && log.contains("loaded a new certificate"), "{log}");
}

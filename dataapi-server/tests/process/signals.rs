//! SIGTERM and SIGINT: running requests are finished and the exit status is success. SIGHUP: a new certificate is
//! loaded.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::certificates::{Authority, Files, ask, client, connect, shown_by};
use crate::program::{Program, store_in};

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

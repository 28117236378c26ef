//! The README's session with the server gives what the README shows.

use std::process::Command;
use std::sync::Arc;

use dataapi_server::{Config, serve};
use tokio::net::TcpListener;

/// A command and what the README shows as its answer.
struct Shown {
    command: String,
    answer: String,
}

fn session(readme: &str) -> Vec<Shown> {
    let mut session: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            session.push(Shown { command: command.into(), answer: String::new() });
        } else if let Some(last) = session.last_mut().filter(|_| inside) {
            last.answer += line;
        }
    }
    session
}

/// Dates, and hashes with the store's key, differ from run to run; everything else must not.
fn without_dates(answer: &str) -> String {
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    let is_date = |part: &&str| digits(part) == "0000-00-00T00:00:00.000000Z";
    let is_hash =
        |part: &str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shown = |part| match part {
        part if is_date(&part) => "DATE",
        part if is_hash(part) => "HASH",
        part => part,
    };
    let parts: Vec<_> = answer.split('"').map(shown).collect();
    parts.join("\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_with_the_server_gives_what_the_readme_shows() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let session = session(&readme.unwrap());
    assert!(session.len() >= 8, "the session was found");

    let store = dataapi::open("memory:").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve(Arc::clone(&store), Config::default(), listener, async {
        let _ = stopped.await;
    }));

    for Shown { command, answer } in session {
        let here = command.replace("127.0.0.1:8080", &address);
        let run = move || Command::new("sh").args(["-c", &here]).output();
        let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
        assert!(output.status.success(), "runs: {command}");
        let real = String::from_utf8(output.stdout).unwrap();
        assert_eq!(without_dates(&real), without_dates(&answer), "answer of: {command}");
    }
    drop(stop);
    server.await.unwrap();
}

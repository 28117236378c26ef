//! The examples do what they say.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Cargo builds the examples beside the tests, in a folder of their own.
fn example(name: &str) -> Command {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    Command::new(path.join(name))
}

#[test]
fn the_chatbot_keeps_only_what_was_consented_to() {
    let mut chatbot = example("chatbot")
        .env("DATAAPI_STORE", "memory:")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let script = "Where is my parcel?\n\nyes\nNever mind.\n\nno\n\n";
    chatbot.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = chatbot.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("Dialogs that may be read: 1\n"), "{said}");
}

#[test]
fn a_backend_of_ones_own_serves_what_was_consented_to() {
    let output = example("own_backend").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("Where is my parcel?") && !said.contains("Paket"), "{said}");
}

#[tokio::test]
async fn the_embedded_server_answers_with_what_the_program_stored() {
    let mut server = example("embedded_server").stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut url).unwrap();
    // The program stores its dialog after it has said where it listens.
    let page = loop {
        let answer = reqwest::get(url.trim()).await.unwrap();
        let page: serde_json::Value = answer.json().await.unwrap();
        if page["total"] != 0 {
            break page;
        }
    };
    assert_eq!(page["items"][0]["text"], "Where is my parcel?");

    let interrupted = Command::new("kill").args(["-INT", &server.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    assert!(server.wait().unwrap().success());
}

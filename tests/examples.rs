//! The examples do what their documentation says.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Cargo builds examples into a folder next to that of the tests.
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
    assert!(said.ends_with("Readable dialogs: 1\n"), "{said}");
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
    // The program stores its dialog after it has printed its address.
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

#[tokio::test]
async fn another_program_verifies_the_ledger() {
    use dataapi::{Decision, Evidence, Limit, NewDialog, Positions, Reach};

    let store = dataapi::open("memory:").await.unwrap();
    for id in ["a", "b", "c", "d"] {
        let customer = if id == "d" { "ben" } else { "anna" };
        store.insert(NewDialog::parse(customer, id, "en", "Hello").unwrap()).await.unwrap();
        let evidence = Evidence::parse(Some("v3 🙂".into()), None, Some(String::new())).unwrap();
        store.decide(id.parse().unwrap(), Decision::Granted, evidence).await.unwrap();
    }
    store.erase_customer(&"anna".parse().unwrap()).await.unwrap();
    let exported = async |reach: &Reach| {
        let events = store.events(&Positions::START, Limit::MAX, reach).await.unwrap();
        let piece = |piece: &Option<dataapi::EvidenceField>| {
            piece.as_ref().map(|piece| piece.as_str().to_owned())
        };
        let line = |event: &dataapi::Event| {
            serde_json::json!({
                "position": event.position, "ref": event.reference.to_string(),
                "kind": event.kind.name(), "date": event.date.to_string(),
                "notice": piece(&event.evidence.notice), "method": piece(&event.evidence.method),
                "locale": piece(&event.evidence.locale), "evidence_hidden": event.hides_evidence,
                "hash": event.hash.to_string(),
            })
        };
        events.iter().map(line).collect::<Vec<_>>()
    };
    let head = store.ledger_head().await.unwrap().to_string();
    let verify = |lines: &[serde_json::Value]| {
        let mut program = example("verify_ledger")
            .arg(&head)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        // It stops reading at the first broken link.
        let _ = program.stdin.take().unwrap().write_all(text.as_bytes());
        let output = program.wait_with_output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let mut lines = exported(&Reach::default()).await;
    assert_eq!(verify(&lines).as_deref(), Some("7 events, the ledger is intact\n"));
    assert_eq!(verify(&lines[..6]), None);
    lines[2]["kind"] = "expired".into();
    assert_eq!(verify(&lines), None);

    // A reader bound to one customer sees only the evidence of that customer.
    let bound = Reach::default().only_customers("ben".parse().unwrap());
    let mut lines = exported(&bound).await;
    assert!(verify(&lines).unwrap().starts_with("7 events; 3 of them hide their evidence"));
    assert_eq!(lines[3]["notice"], "v3 🙂");
    lines[3]["notice"] = "v4".into();
    assert_eq!(verify(&lines), None);
}

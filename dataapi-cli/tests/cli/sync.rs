//! Exports brought up to date with 'sync'.

use std::sync::Arc;

use dataapi::DialogStore;
use dataapi_server::{Config, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, json_lines, numbered};

/// A store of six consented dialogs and two exports; later one dialog was withdrawn and two were added.
fn exported() -> Sandbox {
    let sandbox = numbered(6);
    sandbox.ok(&["export", "-o", "copy.jsonl"]);
    sandbox.ok(&["export", "--language", "de", "-o", "german.jsonl"]);
    sandbox.ok(&["consent", "withdraw", "d-3"]);
    let german = dialog_line("d-7", "Wörter").replace(r#""language":"en""#, r#""language":"DE""#);
    sandbox.write("more.jsonl", [dialog_line("d-6", "words 6"), german].concat());
    sandbox.ok(&["import", "more.jsonl"]);
    sandbox
}

#[test]
fn an_export_says_what_it_is_a_copy_of() {
    let sandbox = exported();
    let copy = String::from_utf8(sandbox.read("copy.jsonl")).expect("UTF-8");
    let lines = json_lines(&copy);
    assert_eq!(lines.len(), 7);
    for line in &lines[..6] {
        assert_eq!(line["ref"].as_str().map(str::len), Some(64), "{line}");
    }
    let manifest = &lines[6]["manifest"];
    assert_eq!(manifest["count"], 6);
    assert!(manifest["ledger"].as_str().expect("a head").ends_with("@6"), "{manifest}");
    assert_eq!(manifest["filter"], serde_json::json!({}));
    let german = String::from_utf8(sandbox.read("german.jsonl")).expect("UTF-8");
    assert!(german.contains(r#"{"manifest":{"filter":{"language":"de"}"#), "{german}");
    assert!(!sandbox.ok(&["export", "--plain"]).contains("ref"));
    assert!(
        sandbox
            .ok(&["export", "--format", "csv"])
            .starts_with("dialog_id,customer_id,text,language,consent_received,date,ref\n")
    );
}

#[test]
fn a_synced_copy_is_a_fresh_export() {
    let sandbox = exported();
    let said = sandbox.run(&["sync", "copy.jsonl"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(0), "2 added, 1 removed; up to date with event 9\n")
    );
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());
    assert!(!String::from_utf8_lossy(&sandbox.read("copy.jsonl")).contains("words 3"));
    sandbox.ok(&["sync", "german.jsonl", "--from", "sqlite:dialogs.db"]);
    assert_eq!(
        sandbox.read("german.jsonl"),
        sandbox.ok(&["export", "--language", "de"]).into_bytes()
    );
    let again = sandbox.run(&["sync", "copy.jsonl"]);
    assert_eq!(again.err, "0 added, 0 removed; up to date with event 9\n");
    let taken = sandbox.run(&["--store", "sqlite:other.db", "import", "copy.jsonl"]);
    assert_eq!(taken.err, "7 stored, 0 already there, 0 refused\n", "a manifest is no dialog");
}

#[test]
fn a_copy_is_synced_from_a_server() {
    let sandbox = exported();
    let runtime = Runtime::new().expect("a runtime");
    let url = format!("sqlite:{}", sandbox.path().join("dialogs.db").display());
    let address = runtime.block_on(async {
        let store: Arc<dyn DialogStore> = dataapi::open(&url).await.expect("a store");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(serve(store, Config::default(), listener, std::future::pending()));
        address
    });
    let from = format!("http://{address}/");
    let said = sandbox.run(&["--store", "sqlite:none.db", "sync", "copy.jsonl", "--from", &from]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (Some(0), "2 added, 1 removed; up to date with event 9\n")
    );
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());

    sandbox.ok(&["consent", "withdraw", "d-6"]);
    let key = sandbox.ok(&["key", "create", "--name", "copies", "--role", "read"]);
    let synced = |file: &str, key: &str| {
        let mut sync = sandbox.program(&["sync", file, "--from", &from]);
        sync.env("DATAAPI_KEY", key).output().expect("it runs").status.code()
    };
    // The server notices its first key within a second.
    while sandbox.run(&["sync", "german.jsonl", "--from", &from]).code == Some(0) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(synced("copy.jsonl", &key.replace('0', "1").replace('a', "b")), Some(1));
    assert_eq!(synced("copy.jsonl", key.trim_end()), Some(0));
    assert_eq!(sandbox.read("copy.jsonl"), sandbox.ok(&["export"]).into_bytes());

    // A bound key gets the events of other dialogs without their evidence, and can follow them all the same.
    let german =
        dialog_line("d-8", "mehr Wörter").replace(r#""language":"en""#, r#""language":"de""#);
    sandbox.write("most.jsonl", [dialog_line("d-9", "words 9"), german].concat());
    sandbox.ok(&["import", "most.jsonl"]);
    let bound = ["key", "create", "--name", "german", "--role", "read", "--only-language", "de"];
    let bound = sandbox.ok(&bound);
    let code = loop {
        match synced("german.jsonl", bound.trim_end()) {
            // The server notices a new key within a second.
            Some(1) => std::thread::sleep(std::time::Duration::from_millis(50)),
            code => break code,
        }
    };
    assert_eq!(code, Some(0));
    let fresh = sandbox.ok(&["export", "--language", "de"]);
    assert!(fresh.contains("mehr"), "{fresh}");
    assert_eq!(sandbox.read("german.jsonl"), fresh.into_bytes());

    let before = sandbox.read("german.jsonl");
    let elsewhere = format!("http://{address}/data/anna");
    for (from, reason) in [
        (elsewhere.as_str(), "the request to the server failed"),
        ("http://127.0.0.1:1", "the request to the server failed"),
        ("sqlite:none.db", "there is no store"),
    ] {
        let ran = sandbox.run(&["sync", "german.jsonl", "--from", from]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(reason), "{ran:?}");
    }
    assert_eq!(sandbox.read("german.jsonl"), before);
    drop(runtime);
}

#[test]
fn what_is_no_copy_of_this_store_is_refused_and_left_alone() {
    let sandbox = exported();
    let copy = String::from_utf8(sandbox.read("copy.jsonl")).expect("UTF-8");
    sandbox.write("edited.jsonl", copy.replace("words 1", "words 9"));
    sandbox.write("cut.jsonl", copy.split_once('\n').expect("lines").1);
    sandbox.write("plain.jsonl", sandbox.ok(&["export", "--plain"]));
    sandbox.write("empty.jsonl", "");
    sandbox.ok(&["--store", "sqlite:other.db", "import", "in.jsonl"]);
    sandbox.ok(&["--store", "sqlite:other.db", "export", "-o", "other.jsonl"]);
    for (file, reason) in [
        ("edited.jsonl", "was changed"),
        ("cut.jsonl", "was changed"),
        ("plain.jsonl", "not an export"),
        ("empty.jsonl", "not an export"),
        ("other.jsonl", "of another store"),
    ] {
        let before = sandbox.read(file);
        let ran = sandbox.run(&["sync", file]);
        assert_eq!(ran.code, Some(4), "{file}: {ran:?}");
        assert!(ran.err.contains(reason), "{file}: {ran:?}");
        assert_eq!(sandbox.read(file), before);
    }
    assert_eq!(sandbox.run(&["sync", "none.jsonl"]).code, Some(1));
}

//! The ledger: its head, its export, and the report of tampering.

use crate::sandbox::Sandbox;
use crate::scenes::{numbered, withdraw_and_erase};

/// A ledger of five grants, a withdrawal and an erasure.
fn decided() -> Sandbox {
    let sandbox = numbered(5);
    withdraw_and_erase(&sandbox);
    sandbox
}

fn tamper(sandbox: &Sandbox, sql: &str) {
    let store = rusqlite::Connection::open(sandbox.path().join("dialogs.db")).expect("opens");
    store.execute_batch(sql).expect("is changed");
}

#[test]
fn the_chain_is_verified_up_to_a_noted_head() {
    let sandbox = decided();
    let head = sandbox.ok(&["audit", "head"]);
    let head = head.trim_end();
    assert!(head.ends_with("@7"), "{head}");
    let whole = format!("7 events, the ledger is intact: {head}\n");
    assert_eq!(sandbox.ok(&["audit", "verify"]), whole);
    assert_eq!(sandbox.ok(&["audit", "verify", "--head", head]), whole);
    sandbox.ok(&["consent", "withdraw", "d-3"]);
    sandbox.ok(&["audit", "verify", "--head", head]);
    assert_eq!(sandbox.run(&["audit", "verify", "--head", "7"]).code, Some(2));
}

#[test]
fn an_export_names_dialogs_by_reference_only() {
    let sandbox = decided();
    let lines = sandbox.ok(&["audit", "export"]);
    assert_eq!(lines.lines().count(), 7);
    let event: serde_json::Value =
        serde_json::from_str(lines.lines().nth(5).expect("a line")).expect("JSON");
    assert_eq!(event["position"], 6);
    assert_eq!(event["kind"], "withdrawn");
    assert_eq!(event["notice"], "v3");
    assert_eq!(event["ref"].as_str().map(str::len), Some(64));
    assert!(!lines.contains("d-1") && !lines.contains("\"c\""), "{lines}");
    sandbox.ok(&["audit", "export", "-o", "ledger.jsonl"]);
    assert_eq!(sandbox.read("ledger.jsonl"), lines.into_bytes());
}

#[test]
fn a_check_tells_what_is_wrong_with_the_file() {
    let sandbox = decided();
    assert!(sandbox.ok(&["check"]).starts_with("no damage found"));
    tamper(&sandbox, "UPDATE store SET pending = 7");
    let found = sandbox.run(&["check"]);
    assert_eq!(found.code, Some(4), "{found:?}");
    assert!(found.err.contains("the count of pending dialogs is 7, but there are 0"), "{found:?}");
    assert_eq!(sandbox.run(&["--store", "memory:", "check"]).code, Some(2));
    assert_eq!(sandbox.run(&["--store", "sqlite:none.db", "check"]).code, Some(1));
}

#[test]
fn tampering_is_told_with_its_place() {
    for (sql, place) in [
        ("UPDATE event SET date = date + 1 WHERE position = 3", "broken at position 3"),
        ("UPDATE event SET notice = 'v4' WHERE position = 6", "broken at position 6"),
        ("DELETE FROM event WHERE position = 4", "broken at position 4"),
        ("UPDATE event SET position = 9 WHERE position = 7", "broken at position 7"),
        ("DELETE FROM event WHERE position > 5", "ends at position 5"),
    ] {
        let sandbox = decided();
        let head = sandbox.ok(&["audit", "head"]);
        tamper(&sandbox, sql);
        let ran = sandbox.run(&["audit", "verify", "--head", head.trim_end()]);
        assert_eq!(ran.code, Some(4), "{sql}");
        assert!(ran.err.contains(place), "{sql}: {}", ran.err);
    }
}

//! Backups by hand: backup, restore, and what is refused.

use crate::sandbox::Sandbox;
use crate::scenes::{numbered, withdraw_and_erase};

/// A store of five consented dialogs with a backup; one was withdrawn and one erased after it.
fn backed_up() -> Sandbox {
    let sandbox = numbered(5);
    let said = sandbox.ok(&["backup", "monday.db"]);
    let head = sandbox.ok(&["audit", "head"]);
    assert_eq!(said, format!("5 dialogs backed up, with 5 events: {head}"));
    withdraw_and_erase(&sandbox);
    sandbox
}

#[test]
fn what_was_erased_since_is_left_out_beside_the_ledger() {
    let sandbox = backed_up();
    sandbox.ok(&["audit", "export", "-o", "ledger.jsonl"]);
    let store = ["--store", "sqlite:new.db"];
    let restore = ["restore", "monday.db", "--ledger", "ledger.jsonl"];
    let said = sandbox.ok(&[&store[..], &restore].concat());
    assert_eq!(said, "3 restored, 2 left out (withdrawn or erased since), 0 already there\n");
    let exported = |store: &[&str]| sandbox.ok(&[store, &["export"]].concat());
    assert_eq!(exported(&store), exported(&[]));
    let head = sandbox.ok(&["audit", "head"]);
    sandbox.ok(&[&store[..], &["audit", "verify", "--head", head.trim_end()]].concat());
    let gone = sandbox.run(&["--store", "sqlite:new.db", "verify-erasure", "words 1", "words 2"]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
}

#[test]
fn a_store_that_is_there_keeps_what_it_has() {
    let sandbox = backed_up();
    let before = sandbox.ok(&["export"]);
    let said = sandbox.ok(&["restore", "monday.db"]);
    assert_eq!(said, "0 restored, 2 left out (withdrawn or erased since), 3 already there\n");
    assert_eq!(sandbox.ok(&["export"]), before);
    sandbox.ok(&["audit", "export", "-o", "ledger.jsonl"]);
    let twice = sandbox.run(&["restore", "monday.db", "--ledger", "ledger.jsonl"]);
    assert_eq!(twice.code, Some(4), "{twice:?}");
    assert!(twice.err.contains("has a ledger of its own"), "{twice:?}");
}

#[test]
fn a_restore_without_a_ledger_must_be_accepted() {
    let sandbox = backed_up();
    let restore = ["--store", "sqlite:new.db", "restore", "monday.db"];
    let refused = sandbox.run(&restore);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    for words in ["what was withdrawn or erased after", "5 events", "--accept-resurrection"] {
        assert!(refused.err.contains(words), "{words}: {refused:?}");
    }
    assert!(!sandbox.files().contains(&"new.db".to_owned()));
    let said = sandbox.ok(&[&restore[..], &["--accept-resurrection"]].concat());
    assert_eq!(said, "5 restored, 0 left out (withdrawn or erased since), 0 already there\n");
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_refused() {
    let sandbox = backed_up();
    let there = sandbox.run(&["backup", "monday.db"]);
    assert_eq!(there.code, Some(4), "{there:?}");
    let memory = sandbox.run(&["--store", "memory:", "backup", "b.db"]);
    assert_eq!(memory.code, Some(2), "{memory:?}");
    let missing = sandbox.run(&["--store", "sqlite:none.db", "backup", "b.db"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    sandbox.write("ledger.jsonl", "{\"position\":1}\n");
    let bad = ["--store", "sqlite:new.db", "restore", "monday.db", "--ledger", "ledger.jsonl"];
    let bad = sandbox.run(&bad);
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.err.contains("line 1 is not an event"), "{bad:?}");
    assert!(!sandbox.files().iter().any(|name| name.ends_with(".partial") || name == "new.db"));
}

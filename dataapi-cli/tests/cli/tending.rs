//! Decisions, erasure and purges.

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, imported, pending_line};

#[test]
fn a_decision_gives_its_receipt() {
    let sandbox = imported(pending_line("d", "t"));
    assert_eq!(
        sandbox.ok(&["consent", "show", "d"]),
        "{\"dialog_id\":\"d\",\"consent\":\"pending\",\"date\":\"2026-03-01T10:00:00.000000Z\"}\n"
    );
    let receipt = sandbox.ok(&["consent", "grant", "d", "--notice", "v3", "--method", "button"]);
    assert!(receipt.starts_with(r#"{"dialog_id":"d","consent":"granted","date":"2"#), "{receipt}");
    assert!(receipt.ends_with("\"notice\":\"v3\",\"method\":\"button\"}\n"), "{receipt}");
    assert_eq!(sandbox.ok(&["consent", "grant", "d", "--locale", "de"]), receipt);
    sandbox.ok(&["get", "c", "d"]);

    assert!(sandbox.ok(&["consent", "withdraw", "d"]).contains(r#""consent":"withdrawn""#));
    assert!(sandbox.ok(&["consent", "show", "d"]).contains(r#""consent":"withdrawn""#));
    let ran = sandbox.run(&["consent", "grant", "d"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.contains("a later grant cannot undo a withdrawal"), "{}", ran.err);
}

#[test]
fn erasure_removes_and_says_how_much() {
    let sandbox =
        imported([dialog_line("1", "t"), dialog_line("2", "t"), pending_line("3", "t")].concat());
    assert_eq!(sandbox.run(&["erase", "dialog", "someone else", "1", "--yes"]).code, Some(4));
    assert_eq!(sandbox.ok(&["erase", "dialog", "c", "1", "--yes"]), "1 erased\n");
    assert_eq!(sandbox.ok(&["erase", "customer", "c"]), "2 erased\n");
    assert_eq!(sandbox.ok(&["erase", "customer", "c"]), "0 erased\n");
    assert_eq!(sandbox.ok(&["export", "--plain"]), "");
}

#[test]
fn purge_takes_only_what_waits_too_long() {
    let old: String = (0..1200).map(|n| pending_line(&format!("old-{n}"), "t")).collect();
    let new = pending_line("new", "t")
        .replace(r#""date":"2026-03-01T10:00:00.000000Z""#, r#""date":null"#);
    let sandbox = imported([old, dialog_line("consented", "t"), new].concat());
    let dry = ["purge", "--pending-after", "1h", "--consented-after", "1h", "--dry-run"];
    assert_eq!(sandbox.ok(&dry), "1201 would be purged\n");
    assert_eq!(sandbox.run(&["purge"]).code, Some(2), "which, must be said");
    let none = sandbox.ok(&["purge", "--tombstones-after", "1h", "--dry-run"]);
    assert_eq!(none, "0 tombstones would be forgotten\n");
    assert_eq!(sandbox.ok(&["purge", "--pending-after", "1h"]), "1200 purged\n");
    assert_eq!(sandbox.ok(&["purge", "--pending-after", "1h"]), "0 purged\n");
    assert!(sandbox.ok(&["consent", "show", "new"]).contains("pending"));
    assert!(sandbox.ok(&["consent", "show", "old-7"]).contains("erased"));
    sandbox.ok(&["get", "c", "consented"]);
    assert_eq!(sandbox.ok(&["purge", "--consented-after", "1h"]), "1 purged\n");
    assert!(sandbox.ok(&["consent", "show", "consented"]).contains("erased"));
    assert!(sandbox.ok(&["consent", "show", "new"]).contains("pending"));
    assert_eq!(sandbox.run(&["import", "in.jsonl"]).code, Some(3), "what is gone is refused");
    let forgotten = sandbox.ok(&["purge", "--tombstones-after", "0s"]);
    assert_eq!(forgotten, "1201 tombstones forgotten\n");
    sandbox.ok(&["import", "in.jsonl"]);
    assert!(sandbox.ok(&["consent", "show", "old-7"]).contains("pending"), "that is the risk");
}

#[test]
fn what_was_erased_is_in_no_file_when_the_command_returns() {
    let long = "x".repeat(9_000);
    let lines = |range: std::ops::Range<u32>| -> String {
        range
            .map(|n| dialog_line(&format!("mark-{n:04}"), &format!("told {n:04}{long}told {n:04}")))
            .collect()
    };
    let sandbox = imported(lines(0..60));
    sandbox.write("gone", "mark-0007\r\n\ntold 0007\nmark-0008\ntold 0008\n");
    let ran = sandbox.run(&["verify-erasure", "--list", "gone"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.out.contains("marker 1 at byte "), "{}", ran.out);
    assert!(!ran.out.contains("mark-") && !ran.out.contains("told"), "{}", ran.out);

    sandbox.ok(&["consent", "withdraw", "mark-0007"]);
    sandbox.ok(&["erase", "dialog", "c", "mark-0008"]);
    let out = sandbox.ok(&["verify-erasure", "--list", "gone", "mark-0007"]);
    assert!(out.contains("dialogs.db: ") && out.contains(" bytes read, 0 found\n"), "{out}");
    assert!(out.ends_with("0 found of 5 markers in 1 file\n"), "{out}");
    assert_eq!(sandbox.run(&["verify-erasure", "mark-0009"]).code, Some(4), "what stays is found");
    let piped = sandbox.feed(b"told 0007\n", &["verify-erasure", "--list", "-"]);
    assert_eq!(piped.code, Some(0));
}

#[test]
fn there_must_be_something_to_look_for_and_a_store_to_look_into() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["verify-erasure", "x"]).code, Some(1));
    sandbox.ok(&["generate", "--dialogs", "10"]);
    assert_eq!(sandbox.run(&["verify-erasure"]).code, Some(2));
    assert_eq!(sandbox.run(&["verify-erasure", ""]).code, Some(2));
    sandbox.write("empty", "\n\n");
    assert_eq!(sandbox.run(&["verify-erasure", "--list", "empty"]).code, Some(2));
    assert_eq!(sandbox.run(&["--store", "memory:", "verify-erasure", "x"]).code, Some(2));
}

//! Decisions, erasure and clean-up.

use crate::bench::{Bench, line};

fn pending(id: &str) -> String {
    line(id, "t").replace("true", "false")
}

#[test]
fn a_decision_gives_its_receipt() {
    let bench = Bench::new();
    bench.write("in.jsonl", pending("d"));
    bench.ok(&["import", "in.jsonl"]);
    assert_eq!(
        bench.ok(&["consent", "show", "d"]),
        "{\"dialog_id\":\"d\",\"consent\":\"pending\",\"date\":\"2026-03-01T10:00:00.000000Z\"}\n"
    );
    let receipt = bench.ok(&["consent", "grant", "d", "--notice", "v3", "--method", "button"]);
    assert!(receipt.starts_with(r#"{"dialog_id":"d","consent":"granted","date":"2"#), "{receipt}");
    assert!(receipt.ends_with("\"notice\":\"v3\",\"method\":\"button\"}\n"), "{receipt}");
    assert_eq!(bench.ok(&["consent", "grant", "d", "--locale", "de"]), receipt);
    bench.ok(&["get", "c", "d"]);

    assert!(bench.ok(&["consent", "withdraw", "d"]).contains(r#""consent":"withdrawn""#));
    assert!(bench.ok(&["consent", "show", "d"]).contains(r#""consent":"withdrawn""#));
    let ran = bench.run(&["consent", "grant", "d"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.err.contains("cannot be undone by a later yes"), "{}", ran.err);
}

#[test]
fn erasure_removes_and_says_how_much() {
    let bench = Bench::new();
    bench.write("in.jsonl", [line("1", "t"), line("2", "t"), pending("3")].concat());
    bench.ok(&["import", "in.jsonl"]);
    assert_eq!(bench.run(&["erase", "dialog", "someone else", "1", "--yes"]).code, Some(4));
    assert_eq!(bench.ok(&["erase", "dialog", "c", "1", "--yes"]), "1 erased\n");
    assert_eq!(bench.ok(&["erase", "customer", "c"]), "2 erased\n");
    assert_eq!(bench.ok(&["erase", "customer", "c"]), "0 erased\n");
    assert_eq!(bench.ok(&["export", "--plain"]), "");
}

#[test]
fn purge_takes_only_what_waits_too_long() {
    let bench = Bench::new();
    let old: String = (0..1200).map(|n| pending(&format!("old-{n}"))).collect();
    let new = pending("new").replace(r#""date":"2026-03-01T10:00:00.000000Z""#, r#""date":null"#);
    bench.write("in.jsonl", [old, line("consented", "t"), new].concat());
    bench.ok(&["import", "in.jsonl"]);
    let dry = ["purge", "--pending-after", "1h", "--consented-after", "1h", "--dry-run"];
    assert_eq!(bench.ok(&dry), "1201 would be purged\n");
    assert_eq!(bench.run(&["purge"]).code, Some(2), "which, must be said");
    let none = bench.ok(&["purge", "--tombstones-after", "1h", "--dry-run"]);
    assert_eq!(none, "0 tombstones would be forgotten\n");
    assert_eq!(bench.ok(&["purge", "--pending-after", "1h"]), "1200 purged\n");
    assert_eq!(bench.ok(&["purge", "--pending-after", "1h"]), "0 purged\n");
    assert!(bench.ok(&["consent", "show", "new"]).contains("pending"));
    assert!(bench.ok(&["consent", "show", "old-7"]).contains("erased"));
    bench.ok(&["get", "c", "consented"]);
    assert_eq!(bench.ok(&["purge", "--consented-after", "1h"]), "1 purged\n");
    assert!(bench.ok(&["consent", "show", "consented"]).contains("erased"));
    assert!(bench.ok(&["consent", "show", "new"]).contains("pending"));
    assert_eq!(bench.run(&["import", "in.jsonl"]).code, Some(3), "what is gone is refused");
    let forgotten = bench.ok(&["purge", "--tombstones-after", "0s"]);
    assert_eq!(forgotten, "1201 tombstones forgotten\n");
    bench.ok(&["import", "in.jsonl"]);
    assert!(bench.ok(&["consent", "show", "old-7"]).contains("pending"), "that is the risk");
}

#[test]
fn what_was_erased_is_in_no_file_when_the_command_returns() {
    let bench = Bench::new();
    let long = "x".repeat(9_000);
    let lines = |range: std::ops::Range<u32>| -> String {
        range
            .map(|n| line(&format!("mark-{n:04}"), &format!("told {n:04}{long}told {n:04}")))
            .collect()
    };
    bench.write("in.jsonl", lines(0..60));
    bench.ok(&["import", "in.jsonl"]);
    bench.write("gone", "mark-0007\r\n\ntold 0007\nmark-0008\ntold 0008\n");
    let ran = bench.run(&["verify-erasure", "--list", "gone"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.out.contains("marker 1 at byte "), "{}", ran.out);
    assert!(!ran.out.contains("mark-") && !ran.out.contains("told"), "{}", ran.out);

    bench.ok(&["consent", "withdraw", "mark-0007"]);
    bench.ok(&["erase", "dialog", "c", "mark-0008"]);
    let out = bench.ok(&["verify-erasure", "--list", "gone", "mark-0007"]);
    assert!(out.contains("dialogs.db: ") && out.contains(" bytes read, 0 found\n"), "{out}");
    assert!(out.ends_with("0 found of 5 markers in 1 files\n"), "{out}");
    assert_eq!(bench.run(&["verify-erasure", "mark-0009"]).code, Some(4), "what stays is found");
    let piped = bench.feed(b"told 0007\n", &["verify-erasure", "--list", "-"]);
    assert_eq!(piped.code, Some(0));
}

#[test]
fn there_must_be_something_to_look_for_and_a_store_to_look_into() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["verify-erasure", "x"]).code, Some(1));
    bench.ok(&["generate", "--dialogs", "10"]);
    assert_eq!(bench.run(&["verify-erasure"]).code, Some(2));
    assert_eq!(bench.run(&["verify-erasure", ""]).code, Some(2));
    bench.write("empty", "\n\n");
    assert_eq!(bench.run(&["verify-erasure", "--list", "empty"]).code, Some(2));
    assert_eq!(bench.run(&["--store", "memory:", "verify-erasure", "x"]).code, Some(2));
}

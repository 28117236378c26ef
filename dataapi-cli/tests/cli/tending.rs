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
    assert_eq!(bench.ok(&["export"]), "");
}

#[test]
fn purge_takes_only_what_waits_too_long() {
    let bench = Bench::new();
    let old: String = (0..1200).map(|n| pending(&format!("old-{n}"))).collect();
    let new = pending("new").replace(r#""date":"2026-03-01T10:00:00.000000Z""#, r#""date":null"#);
    bench.write("in.jsonl", [old, line("consented", "t"), new].concat());
    bench.ok(&["import", "in.jsonl"]);
    assert_eq!(bench.ok(&["purge", "--pending-after", "1h"]), "1200 purged\n");
    assert_eq!(bench.ok(&["purge", "--pending-after", "1h"]), "0 purged\n");
    assert!(bench.ok(&["consent", "show", "new"]).contains("pending"));
    assert!(bench.ok(&["consent", "show", "old-7"]).contains("erased"));
    bench.ok(&["get", "c", "consented"]);
}

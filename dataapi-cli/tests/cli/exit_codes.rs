//! Each way to fail has its code, and a message without a word of what is stored.

use crate::bench::{Bench, line};

#[test]
fn what_needs_a_store_creates_none() {
    let bench = Bench::new();
    for args in [
        &["export"][..],
        &["export", "-o", "out.jsonl"],
        &["query"],
        &["get", "c", "d"],
        &["stats"],
        &["consent", "show", "d"],
        &["consent", "grant", "d"],
        &["consent", "withdraw", "d"],
        &["erase", "dialog", "c", "d"],
        &["erase", "customer", "c"],
        &["purge", "--pending-after", "30d"],
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.err.starts_with("error: there is no store at this path"), "{}", ran.err);
        assert_eq!(bench.files(), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.ok(&["generate", "-d", "1"]);
    let files = bench.files();
    let [store] = &*files else { panic!("a store that is not in use is one file: {files:?}") };
    let mut newer = bench.read(store);
    // The version of the schema (SQLite's file format, section 1.3.10).
    newer[60..64].copy_from_slice(&1_000_u32.to_be_bytes());
    bench.write(store, &newer);
    for args in [
        &["stats"][..],
        &["generate", "-d", "1"],
        &["query"],
        &["consent", "withdraw", "d"],
        &["check"],
        &["backup", "copy.backup"],
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        let told = "error: the store was written by a newer version of DataAPI";
        assert!(ran.err.starts_with(told), "{args:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
        assert_eq!(bench.files(), files, "{args:?}");
        assert!(bench.read(store) == newer, "{args:?}");
    }
}

#[test]
fn a_dialog_that_cannot_be_had_is_4() {
    let bench = Bench::new();
    bench.write("in.jsonl", line("d", "t").replace("true", "false"));
    bench.ok(&["import", "in.jsonl"]);
    for (args, reason) in [
        (&["get", "c", "unknown-id"][..], "error: no such dialog"),
        (&["get", "someone-else", "d"], "error: no such dialog"),
        (&["get", "c", "d"], "error: the customer has not consented yet"),
        (&["consent", "show", "unknown-id"], "error: no such dialog"),
        (&["consent", "grant", "unknown-id"], "error: no such dialog"),
        (&["erase", "dialog", "c", "unknown-id"], "error: no such dialog"),
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, Some(4), "{args:?}");
        assert!(ran.err.starts_with(reason), "{}", ran.err);
        assert!(!ran.err.contains("unknown-id") && !ran.err.contains("someone-else"));
        assert_eq!(ran.out, "");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let bench = Bench::new();
    bench.ok(&["generate", "-d", "1"]);
    let long = "secret".repeat(50);
    for args in [
        &[][..],
        &["frobnicate"],
        &["query", "--limit", "0"],
        &["query", "--limit", "1001"],
        &["query", "--limit", "many"],
        &["query", "--cursor", "rubbish"],
        &["query", "--cursor", "rubbish", "--offset", "1"],
        &["query", "--language", "secret words"],
        &["query", "--limit", "secret"],
        &["query", "secret"],
        &["get", "c", "d", "secret"],
        &["erase", "customer", "Anna", "secret"],
        &["import", "x", "--max-text-bytes", "18446744073709551615"],
        &["export", "--format", "secret"],
        &["query", "--customer", &long],
        &["query", "--from", "secret"],
        &["export", "--from", "2026-03-01T10:00:00Z", "--to", "2025-03-01T10:00:00Z"],
        &["export", "--customers", "c"],
        &["get", &long, "d"],
        &["consent", "grant", "d", "--notice", &long],
        &["generate", "-d", "1", "-c", "2"],
        &["generate", "-u", "0"],
        &["purge"],
        &["purge", "--pending-after", "never"],
        &["man", "frobnicate"],
        &["--store", "mysql://secret@host/db", "stats"],
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("secret"), "{}", ran.err);
        assert!(!ran.err.is_empty());
        assert_eq!(ran.out, "");
    }
}

#[test]
fn the_environment_names_the_store() {
    let bench = Bench::new();
    let mut command = bench.program(&["generate", "-d", "1"]);
    assert!(command.env("DATAAPI_STORE", "sqlite:there.db").status().expect("runs").success());
    assert_eq!(bench.files(), ["there.db"]);
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let bench = Bench::new();
    bench.write("notes.txt", "nothing that looks like a database, by any stretch of the mind");
    for args in [&["stats"][..], &["generate"]] {
        let ran = bench.run(&[&["--store", "sqlite:notes.txt"], args].concat());
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.starts_with("error: the file is not a DataAPI store"), "{}", ran.err);
    }
    assert!(bench.read("notes.txt").starts_with(b"nothing"));
    assert_eq!(bench.files(), ["notes.txt"]);
}

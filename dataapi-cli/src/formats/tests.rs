//! Any dialog survives both formats, and a bad line does not affect the good ones around it.

use std::io::{Cursor, Read};
use std::sync::Arc;

use dataapi::{
    Date, Dialogs, Filter, ImportedDialog, Ledger, MemoryStore, NewDialog, PageRequest, RefKey,
    StoreError, SystemClock, Text, Upkeep,
};
use proptest::prelude::*;

use super::{DialogWriter, FileFormat, read_dialogs};

/// Returns one byte per read, so that a read ends at every position.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

pub(super) type Numbered = Vec<(u64, Result<ImportedDialog, String>)>;

pub(super) fn read_all(input: &[u8], format: FileFormat) -> std::io::Result<Numbered> {
    read_from(Trickle(Cursor::new(input.to_vec())), format)
}

pub(super) fn read_from(
    input: impl Read + Send + 'static,
    format: FileFormat,
) -> std::io::Result<Numbered> {
    read_dialogs(Box::new(input), format, 100)?
        .map(|line| line.map(|line| (line.number, line.dialog.map_err(|e| e.to_string()))))
        .collect()
}

/// Returns the numbers of the good lines, and those of the bad lines with the reasons.
fn verdicts(input: &[u8], format: FileFormat) -> (Vec<u64>, Vec<(u64, String)>) {
    let lines = read_all(input, format).unwrap_or_else(|error| vec![(0, Err(error.to_string()))]);
    let (good, bad): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(_, line)| line.is_ok());
    let bad = bad.into_iter().filter_map(|(number, line)| Some((number, line.err()?)));
    (good.into_iter().map(|(number, _)| number).collect(), bad.collect())
}

fn good(id: &str) -> String {
    format!(r#"{{"dialog_id":"{id}","customer_id":"c","text":"t","language":"en"}}"#)
}

#[test]
fn jsonl_lines_are_told_apart() {
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(17_000));
    let mut input = b"\xef\xbb\xbf".to_vec();
    for line in [
        good("1").as_str(),
        "",
        "not json",
        r#"{"dialog_id":"x""#,
        r#"["d","d","d","c","c","t","en"]"#,
        "42",
        &long,
        r#"{"dialog_id":"x","dialog_id":"x","customer_id":"c","text":"t","language":"en"}"#,
        r#"{"customer_id":"c","text":"t","language":"en"}"#,
        r#"{"dialog_id":7,"customer_id":"c","text":"t","language":"en"}"#,
        r#"{"dialog_id":"x","customer_id":"c","text":"","language":"en"}"#,
        r#"{"dialog_id":"x","customer_id":"c","text":"a\u0000","language":"en"}"#,
        r#"{"dialog_id":"x","customer_id":"c","text":"t","language":"no tag"}"#,
        r#"{"dialog_id":"x","customer_id":"c","text":"t","language":"en","date":"soon"}"#,
        r#"{"dialog_id":"x","customer_id":"c","text":"t","language":"en","consent_received":1}"#,
        r#"{"dialog_id":"x","_id":"y","customer_id":"c","text":"t","language":"en"}"#,
        "  \t\r",
    ] {
        input.extend_from_slice(line.as_bytes());
        input.push(b'\n');
    }
    input.extend_from_slice(b"{\"text\":\"\xff\"}\r\n");
    input.extend_from_slice(good("2").as_bytes());

    let (good, bad) = verdicts(&input, FileFormat::Jsonl);
    assert_eq!(good, [1, 19]);
    let bad: Vec<_> = bad.iter().map(|(number, reason)| (*number, reason.as_str())).collect();
    assert_eq!(
        bad,
        [
            (3, "the line must be a JSON object"),
            (4, "the line must be JSON; the error is at byte 16"),
            (5, "the line must be a JSON object"),
            (6, "the line must be a JSON object"),
            (7, "the line must be at most 16984 bytes long"),
            (8, "the line must not have a field twice"),
            (9, "dialog_id is missing"),
            (10, "dialog_id must be a string"),
            (11, "text must be 1 to 100 bytes of UTF-8"),
            (12, "text must not contain NUL characters"),
            (
                13,
                "language must be a well-formed BCP 47 tag of at most 255 bytes, \
                 such as 'en' or 'pt-BR'"
            ),
            (14, "date must be an RFC 3339 date-time such as 2026-03-01T10:00:00Z"),
            (15, "consent_received must be true or false"),
            (16, "dialog_id is given under several names, with different values"),
            (18, "the line must be UTF-8"),
        ]
    );
}

#[test]
fn csv_records_are_told_apart_and_numbered_by_their_first_line() {
    let long = format!("{},c,en,t,", "x".repeat(17_000));
    let mut input = b"\xef\xbb\xbf_id,customerId,language,text,consent_received,more\r\n".to_vec();
    for record in [
        "1,c,en,\"two\r\nlines, \"\"quoted\"\"\",TRUE,",
        "",
        "2,c,en,t,false,ignored",
        "3,c,en",
        "4,c,en,t,,,,,",
        "5,c,en,t,yes,",
        "6,c,en,,,",
        &long,
        "7,c,en,\"\n\n\",,",
        "8,c,en,t,,",
    ] {
        input.extend_from_slice(record.as_bytes());
        input.extend_from_slice(b"\r\n");
    }
    input.extend_from_slice(b"9,c,en,\xff,,\n10,c,en,t,,\n11,c,en,\"no end,,\n12,c,en,t,,\n");

    let (good, bad) = verdicts(&input, FileFormat::Csv);
    assert_eq!(good, [2, 5, 11, 14, 16]);
    let bad: Vec<_> = bad.iter().map(|(number, reason)| (*number, reason.as_str())).collect();
    assert_eq!(
        bad,
        [
            (6, "the line must have 6 fields, as the header has"),
            (7, "the line must have at most 6 fields"),
            (8, "consent_received must be true or false"),
            (9, "text is missing"),
            (10, "the line must be at most 16984 bytes long"),
            (15, "the line must be UTF-8"),
            (17, "the line must close its quotes"),
        ]
    );
}

#[test]
fn a_csv_header_is_checked() {
    let refusal = |header: &str| verdicts(header.as_bytes(), FileFormat::Csv).1;
    assert_eq!(refusal(""), [(0, "the header is missing".to_owned())]);
    assert_eq!(
        refusal("_id,customer_id,language\n"),
        [(0, "the header must name the field text".to_owned())]
    );
    assert_eq!(
        refusal("_id,text,text,customer_id,language\n"),
        [(0, "the header must not name a field twice".to_owned())]
    );
    assert_eq!(refusal(" _id ,text,customer_id,language"), []);
}

#[test]
fn only_one_mark_is_taken_off_however_it_comes_in() {
    let input = "\u{feff}\u{feff}_id,customer_id,text,language\n1,c,t,en\n".as_bytes();
    let at_once = read_from(Cursor::new(input), FileFormat::Csv).expect_err("no id in the header");
    assert_eq!(at_once.to_string(), "the header must name the field dialog_id");
    let byte_by_byte = read_all(input, FileFormat::Csv).expect_err("no id in the header");
    assert_eq!(byte_by_byte.to_string(), at_once.to_string());
}

#[test]
fn one_id_can_have_two_names() {
    let line =
        br#"{"_id":"d","dialogId":"d","customerId":"c","text":"t","language":"en","x":[{}]}"#;
    assert_eq!(verdicts(line, FileFormat::Jsonl).0, [1]);
}

fn id() -> impl Strategy<Value = String> {
    "\\PC{1,60}".prop_filter("an id", |id| id.parse::<dataapi::DialogId>().is_ok())
}

fn text() -> impl Strategy<Value = String> {
    let any = proptest::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter);
    // Characters with a meaning in one of the formats.
    let tricky = "[\"',;\\\\\r\n\t =+@a\u{1b}\u{85}\u{2028}\u{feff}\u{202e}]{1,40}";
    prop_oneof![any, tricky].prop_filter("a text", |text| !text.contains('\0'))
}

fn dialog() -> impl Strategy<Value = ImportedDialog> {
    let language = prop::sample::select(vec!["en", "EN", "pt-br", "zh-Hans", "x-y", "ar-EG"]);
    let date = -62_135_596_800_000_000..1_700_000_000_000_000_i64;
    (id(), id(), text(), language, date).prop_filter_map(
        "valid values",
        |(customer, dialog, text, language, date)| {
            let dialog = NewDialog::parse(&customer, &dialog, language, &text).ok()?;
            let date = Some(Date::from_micros(date).ok()?);
            Some(ImportedDialog { dialog, date, consented: true })
        },
    )
}

fn format() -> impl Strategy<Value = FileFormat> {
    proptest::sample::select(vec![FileFormat::Jsonl, FileFormat::Csv, FileFormat::Excel])
}

/// Imports `dialogs` into a new store and exports all of it.
pub(super) async fn export(
    dialogs: Vec<ImportedDialog>,
    format: FileFormat,
    references: bool,
) -> Result<Vec<u8>, StoreError> {
    let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    store.import(dialogs).await?;
    let writer = DialogWriter::new(format, Vec::new(), false, references);
    let mut writer = writer.map_err(StoreError::backend)?;
    for dialog in &store.query(&PageRequest::default()).await?.items {
        let reference = store.reference(dialog.dialog_id());
        writer.write(dialog, reference).map_err(StoreError::backend)?;
    }
    let head = store.ledger_head().await?;
    writer.finish(&Filter::default(), &head).map_err(StoreError::backend)?;
    writer.into_inner().map_err(StoreError::backend)
}

proptest! {
    #[test]
    fn any_dialog_survives(
        dialogs in proptest::collection::vec(dialog(), 0..8),
        format in format(),
        references: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let written = runtime.block_on(export(dialogs.clone(), format, references))?;

        let input = Box::new(Trickle(Cursor::new(written.clone())));
        let mut back = Vec::new();
        for line in read_dialogs(input, format, Text::DEFAULT_MAX_BYTES)? {
            back.push(line?.dialog?);
        }
        // Of two dialogs with one id, the first was stored.
        for dialog in &back {
            let first = dialogs.iter().find(|d| d.dialog.dialog_id == dialog.dialog.dialog_id);
            prop_assert_eq!(first, Some(dialog));
        }
        prop_assert!(dialogs.iter().all(|d| back.iter().any(|b| b.dialog.dialog_id == d.dialog.dialog_id)));
        // Without references and manifest, an export of another store with the same dialogs is the same.
        if !references {
            prop_assert_eq!(written, runtime.block_on(export(back, format, false))?);
        }
    }

    #[test]
    fn garbage_never_panics(input: Vec<u8>, header: bool, format in format()) {
        let mut all = if header { b"_id,customer_id,text,language\n".to_vec() } else { vec![] };
        all.extend(input);
        let _ = verdicts(&all, format);
    }
}

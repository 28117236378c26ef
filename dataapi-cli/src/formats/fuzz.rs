//! Fuzz targets for imported files. Each line is accepted as a dialog or refused without being quoted, however
//! many bytes each read returns, and an accepted dialog survives being exported and imported again.
//! `./check --long` continues the search for hours.

use std::io::Cursor;

use bolero::check;
use dataapi::ImportedDialog;

use super::FileFormat;
use super::tests::{export, read_all, read_from};

#[test]
fn jsonl() {
    check!(name = "jsonl").for_each(|input: &[u8]| import(input, FileFormat::Jsonl));
}

#[test]
fn csv() {
    check!(name = "csv").for_each(|input: &[u8]| import(input, FileFormat::Csv));
}

fn import(input: &[u8], format: FileFormat) {
    let at_once = read_from(Cursor::new(input.to_vec()), format);
    let lines = match (at_once, read_all(input, format)) {
        (Ok(at_once), Ok(byte_by_byte)) => {
            assert_eq!(at_once, byte_by_byte);
            at_once
        }
        (Err(at_once), Err(byte_by_byte)) => {
            assert_eq!(at_once.to_string(), byte_by_byte.to_string());
            return tells_nothing(&at_once.to_string());
        }
        other => panic!("the result depends on how much is read at once: {other:?}"),
    };
    // Two records can be in one line: a lone carriage return ends a record, but not a line.
    assert!(lines.is_sorted_by_key(|(number, _)| number), "{lines:?}");

    let (good, bad): (Vec<_>, Vec<_>) = lines.into_iter().partition(|(_, line)| line.is_ok());
    bad.into_iter().filter_map(|(_, line)| line.err()).for_each(|refusal| tells_nothing(&refusal));
    // Consented, since only those are exported; and no more than fit in one page.
    let good = good.into_iter().filter_map(|(_, line)| line.ok());
    let good = good.map(|dialog| ImportedDialog { consented: true, date: None, ..dialog });
    let good = good.take(100).collect::<Vec<_>>();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let written = runtime.block_on(export(good.clone(), format, false)).expect("it is stored");
    let back = read_all(&written, format).expect("lines");
    for (_, dialog) in &back {
        let dialog = &dialog.as_ref().expect("what was written is read").dialog;
        // Of two dialogs with one id, the first was stored.
        let first = good.iter().find(|first| first.dialog.dialog_id == dialog.dialog_id);
        assert_eq!(first.map(|first| &first.dialog), Some(dialog));
    }
    let is_back = |dialog: &ImportedDialog| {
        let id = &dialog.dialog.dialog_id;
        back.iter().any(|(_, back)| back.as_ref().is_ok_and(|back| back.dialog.dialog_id == *id))
    };
    assert!(good.iter().all(is_back));
}

/// Checks that `refusal` quotes nothing: the inputs have MARKER in place of texts and ids.
fn tells_nothing(refusal: &str) {
    assert!(!refusal.contains("MARKER"), "{refusal}");
}

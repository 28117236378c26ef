//! Reads dialogs from a file or a pipe in any format.

use std::io::{self, BufReader, Cursor, Read};

use super::csv::{CsvDialect, CsvReader};
use super::file_format::FileFormat;
use super::import_line::ImportLines;
use super::jsonl::JsonlReader;

/// Reads the dialogs of `input`; refuses texts of more than `max_text` bytes.
pub(crate) fn read_dialogs(
    input: Box<dyn Read + Send>,
    format: FileFormat,
    max_text: usize,
) -> io::Result<ImportLines> {
    let input = BufReader::with_capacity(64 * 1024, without_bom(input)?);
    Ok(match format {
        FileFormat::Jsonl => Box::new(JsonlReader::new(input, max_text)),
        FileFormat::Csv => Box::new(CsvReader::new(input, max_text, CsvDialect::Plain)?),
        FileFormat::Excel => Box::new(CsvReader::new(input, max_text, CsvDialect::Spreadsheet)?),
    })
}

fn without_bom(mut input: Box<dyn Read + Send>) -> io::Result<impl Read + Send> {
    let mut start = Vec::with_capacity(3);
    input.by_ref().take(3).read_to_end(&mut start)?;
    if start == "\u{feff}".as_bytes() {
        start.clear();
    }
    Ok(Cursor::new(start).chain(input))
}

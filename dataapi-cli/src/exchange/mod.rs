//! The file formats in which dialogs come and go, both ways to the byte.

mod csv;
mod fields;
mod jsonl;

use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::Path;

use dataapi::{Dialog, ImportedDialog, Invalid};
use serde::Serialize;

pub(crate) use crate::args::Format;
use crate::terminal;

impl Format {
    /// The one that was asked for, else the one that the file's name tells.
    pub(crate) fn of(asked: Option<Self>, file: &Path) -> Self {
        let is_csv =
            file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        asked.unwrap_or(if is_csv { Self::Csv } else { Self::Jsonl })
    }
}

/// One dialog of an input, or why it is none.
#[derive(Debug)]
pub(crate) struct Line {
    /// Where it starts; the first line is 1.
    pub(crate) number: u64,
    /// Where it ends, which is elsewhere when a text or an open quote goes over lines.
    pub(crate) last: u64,
    pub(crate) content: Result<ImportedDialog, Invalid>,
}

/// The lines of an input, read in constant memory; an error ends them.
pub(crate) type Lines = Box<dyn Iterator<Item = io::Result<Line>> + Send>;

/// Reads `input`, in which a text has at most `max_text` bytes.
pub(crate) fn read(
    input: Box<dyn Read + Send>,
    format: Format,
    max_text: usize,
) -> io::Result<Lines> {
    let input = BufReader::with_capacity(64 * 1024, without_bom(input)?);
    Ok(match format {
        Format::Jsonl => Box::new(jsonl::Lines::new(input, max_text)),
        Format::Csv => Box::new(csv::Lines::new(input, max_text)?),
    })
}

/// The most bytes of a line worth reading: each byte of the text may be written in six.
fn longest_line(max_text: usize) -> usize {
    max_text.saturating_mul(6).saturating_add(16 * 1024)
}

fn too_long(longest: usize) -> Invalid {
    Invalid::new("the line", format!("must be at most {longest} bytes long"))
}

fn not_utf8<E>(_: E) -> Invalid {
    Invalid::new("the line", "must be UTF-8")
}

fn without_bom(mut input: Box<dyn Read + Send>) -> io::Result<impl Read + Send> {
    let mut start = Vec::with_capacity(3);
    input.by_ref().take(3).read_to_end(&mut start)?;
    if start == "\u{feff}".as_bytes() {
        start.clear();
    }
    Ok(Cursor::new(start).chain(input))
}

/// A dialog as the contract writes it.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    dialog_id: &'a str,
    customer_id: &'a str,
    text: &'a str,
    language: &'a str,
    consent_received: bool,
    date: String,
}

impl Record<'_> {
    const HEADER: [&'static str; 6] =
        ["dialog_id", "customer_id", "text", "language", "consent_received", "date"];
}

impl<'a> From<&'a Dialog> for Record<'a> {
    fn from(dialog: &'a Dialog) -> Self {
        Self {
            dialog_id: dialog.dialog_id().as_str(),
            customer_id: dialog.customer_id().as_str(),
            text: dialog.text().as_str(),
            language: dialog.language().as_str(),
            consent_received: true,
            date: dialog.date().to_string(),
        }
    }
}

/// Writes dialogs in one format.
pub(crate) enum Writer<W: Write> {
    Jsonl { out: W, on_terminal: bool },
    Csv(Box<::csv::Writer<W>>),
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(format: Format, out: W, on_terminal: bool) -> io::Result<Self> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl { out, on_terminal },
            // It has no escapes, and a stored text must not steer a terminal.
            Format::Csv if on_terminal => {
                return Err(io::Error::other(
                    "CSV is not written to a terminal; use -o FILE, or pipe it",
                ));
            }
            Format::Csv => {
                // Its own header would be missing where there is no dialog.
                let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(out);
                writer.write_record(Record::HEADER).map_err(io_error)?;
                Self::Csv(Box::new(writer))
            }
        })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog) -> io::Result<()> {
        let record = Record::from(dialog);
        match self {
            Self::Jsonl { out, on_terminal } => terminal::write_json(out, &record, *on_terminal),
            Self::Csv(writer) => writer.serialize(record).map_err(io_error),
        }
    }

    /// Hands back what it wrote to, with all of it written.
    pub(crate) fn into_inner(self) -> io::Result<W> {
        match self {
            Self::Jsonl { out, .. } => Ok(out),
            Self::Csv(writer) => writer.into_inner().map_err(|error| {
                let error = error.error();
                io::Error::new(error.kind(), error.to_string())
            }),
        }
    }
}

/// Its own conversion hides the kind, and with it a closed pipe.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        _ => io::Error::other("a dialog cannot be written as CSV"),
    }
}

#[cfg(test)]
mod tests;

//! The file formats in which dialogs come and go, both ways to the byte.

mod csv;
mod fields;
mod jsonl;
pub(crate) mod manifest;

use std::io::{self, BufReader, Cursor, Read, Write};
use std::path::Path;

use dataapi::{Dialog, DialogRef, Filter, ImportedDialog, Invalid, LedgerHead};
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
    /// How the ledger names it.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
}

impl Record<'_> {
    const HEADER: [&'static str; 7] =
        ["dialog_id", "customer_id", "text", "language", "consent_received", "date", "ref"];
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
            reference: None,
        }
    }
}

/// Writes dialogs in one format.
pub(crate) struct Writer<W: Write> {
    form: Form<W>,
    references: bool,
}

enum Form<W: Write> {
    Jsonl(Box<Jsonl<W>>),
    Csv(Box<::csv::Writer<W>>),
}

struct Jsonl<W> {
    out: W,
    on_terminal: bool,
    line: Vec<u8>,
    written: manifest::Lines,
}

impl<W: Write> Writer<W> {
    /// With the `references` of the ledger, or without.
    pub(crate) fn new(
        format: Format,
        out: W,
        on_terminal: bool,
        references: bool,
    ) -> io::Result<Self> {
        let form = match format {
            Format::Jsonl => {
                let (line, written) = (Vec::new(), manifest::Lines::default());
                Form::Jsonl(Box::new(Jsonl { out, on_terminal, line, written }))
            }
            // It has no escapes, and a stored text must not steer a terminal.
            Format::Csv if on_terminal => {
                return Err(io::Error::other(
                    "CSV is not written to a terminal; use -o FILE, or pipe it",
                ));
            }
            Format::Csv => {
                // Its own header would be missing where there is no dialog.
                let mut writer = ::csv::WriterBuilder::new().has_headers(false).from_writer(out);
                let columns = if references { 7 } else { 6 };
                writer.write_record(&Record::HEADER[..columns]).map_err(io_error)?;
                Form::Csv(Box::new(writer))
            }
        };
        Ok(Self { form, references })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: &DialogRef) -> io::Result<()> {
        let reference = self.references.then(|| reference.to_string());
        let record = Record { reference, ..Record::from(dialog) };
        match &mut self.form {
            Form::Jsonl(jsonl) => jsonl.write(&record, self.references),
            Form::Csv(writer) => writer.serialize(record).map_err(io_error),
        }
    }

    /// Writes what follows a whole export, where the format and the lines allow for it.
    pub(crate) fn finish(&mut self, filter: &Filter, head: &LedgerHead) -> io::Result<()> {
        match &mut self.form {
            Form::Jsonl(jsonl) if self.references => {
                jsonl.written.finish(&mut jsonl.out, filter, head)
            }
            _ => Ok(()),
        }
    }

    /// Hands back what it wrote to, with all of it written.
    pub(crate) fn into_inner(self) -> io::Result<W> {
        match self.form {
            Form::Jsonl(jsonl) => Ok(jsonl.out),
            Form::Csv(writer) => writer.into_inner().map_err(|error| {
                let error = error.error();
                io::Error::new(error.kind(), error.to_string())
            }),
        }
    }
}

impl<W: Write> Jsonl<W> {
    fn write(&mut self, record: &Record<'_>, counted: bool) -> io::Result<()> {
        self.line.clear();
        terminal::write_json(&mut self.line, record, self.on_terminal)?;
        if counted {
            self.written.add(&self.line);
        }
        self.out.write_all(&self.line)
    }
}

/// The line of a dialog as an export of JSON Lines has it, with its end.
pub(crate) fn export_line(dialog: &Dialog, reference: &DialogRef) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let record = Record { reference: Some(reference.to_string()), ..Record::from(dialog) };
    terminal::write_json(&mut line, &record, false)?;
    Ok(line)
}

/// Its own conversion hides the kind, and with it a closed pipe.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        _ => io::Error::other("a dialog cannot be written as CSV"),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

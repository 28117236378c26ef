//! Writes dialogs to a file or a pipe in any format.

use std::io::{self, Write};

use dataapi::{Dialog, DialogRef, Filter, LedgerHead};

use super::csv::{CsvDialect, CsvWriter};
use super::file_format::FileFormat;
use super::jsonl::JsonlWriter;

/// Writes dialogs in one format.
pub(crate) enum DialogWriter<W: Write> {
    Jsonl(Box<JsonlWriter<W>>),
    Csv(Box<CsvWriter<W>>),
}

impl<W: Write> DialogWriter<W> {
    /// Makes a writer. With `references`, each dialog has its name in the ledger.
    pub(crate) fn new(
        format: FileFormat,
        out: W,
        on_terminal: bool,
        references: bool,
    ) -> io::Result<Self> {
        Ok(match format {
            FileFormat::Jsonl => {
                Self::Jsonl(Box::new(JsonlWriter::new(out, on_terminal, references)))
            }
            // CSV has no escapes, and a stored text must not control a terminal.
            FileFormat::Csv | FileFormat::Excel if on_terminal => {
                return Err(io::Error::other(
                    "CSV cannot be shown on a terminal; use -o FILE or a pipe",
                ));
            }
            FileFormat::Csv => {
                Self::Csv(Box::new(CsvWriter::new(out, references, CsvDialect::Plain)?))
            }
            FileFormat::Excel => {
                Self::Csv(Box::new(CsvWriter::new(out, references, CsvDialect::Spreadsheet)?))
            }
        })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        match self {
            Self::Jsonl(writer) => writer.write(dialog, reference),
            Self::Csv(writer) => writer.write(dialog, reference),
        }
    }

    /// Writes the manifest of a complete export, if the format and the lines have one.
    pub(crate) fn finish(&mut self, filter: &Filter, head: &LedgerHead) -> io::Result<()> {
        match self {
            Self::Jsonl(writer) => writer.finish(filter, head),
            Self::Csv(_) => Ok(()),
        }
    }

    /// Flushes all dialogs and returns the underlying writer.
    pub(crate) fn into_inner(self) -> io::Result<W> {
        match self {
            Self::Jsonl(writer) => Ok(writer.into_inner()),
            Self::Csv(writer) => writer.into_inner(),
        }
    }
}

//! Dialogs written to a file or a pipe in any format.

use std::io::{self, Write};

use dataapi::{Dialog, DialogRef, Filter, LedgerHead};

use super::csv::CsvWriter;
use super::file_format::FileFormat;
use super::jsonl::JsonlWriter;

/// Writes dialogs in one format.
pub(crate) enum DialogWriter<W: Write> {
    Jsonl(Box<JsonlWriter<W>>),
    Csv(Box<CsvWriter<W>>),
}

impl<W: Write> DialogWriter<W> {
    /// With the `references` of the ledger, or without.
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
            // It has no escapes, and a stored text must not steer a terminal.
            FileFormat::Csv if on_terminal => {
                return Err(io::Error::other(
                    "CSV is not written to a terminal; use -o FILE, or pipe it",
                ));
            }
            FileFormat::Csv => Self::Csv(Box::new(CsvWriter::new(out, references)?)),
        })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        match self {
            Self::Jsonl(writer) => writer.write(dialog, reference),
            Self::Csv(writer) => writer.write(dialog, reference),
        }
    }

    /// Writes what follows a whole export, where the format and the lines allow for it.
    pub(crate) fn finish(&mut self, filter: &Filter, head: &LedgerHead) -> io::Result<()> {
        match self {
            Self::Jsonl(writer) => writer.finish(filter, head),
            Self::Csv(_) => Ok(()),
        }
    }

    /// Hands back what it wrote to, with all of it written.
    pub(crate) fn into_inner(self) -> io::Result<W> {
        match self {
            Self::Jsonl(writer) => Ok(writer.into_inner()),
            Self::Csv(writer) => writer.into_inner(),
        }
    }
}

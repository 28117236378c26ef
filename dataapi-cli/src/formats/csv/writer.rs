//! Writes dialogs as CSV.

use std::io::{self, Write};

use csv::{Terminator, Writer, WriterBuilder};
use dataapi::{Dialog, DialogRef};
use dataapi_wire::ExportedDialog;

use super::dialect::CsvDialect;
use super::formula::guarded;

/// Writes a header, then dialogs as CSV.
pub(crate) struct CsvWriter<W: Write> {
    records: Writer<W>,
    references: bool,
    dialect: CsvDialect,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn new(mut out: W, references: bool, dialect: CsvDialect) -> io::Result<Self> {
        let mut builder = WriterBuilder::new();
        builder.has_headers(false);
        if dialect == CsvDialect::Spreadsheet {
            // Without the mark, Excel takes the bytes for another encoding.
            out.write_all("\u{feff}".as_bytes())?;
            builder.terminator(Terminator::CRLF);
        }
        let mut records = builder.from_writer(out);
        let [columns @ .., _] = &ExportedDialog::MEMBERS;
        let columns = if references { &ExportedDialog::MEMBERS[..] } else { columns };
        records.write_record(columns).map_err(io_error)?;
        Ok(Self { records, references, dialect })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        if self.dialect == CsvDialect::Spreadsheet {
            return self.write_guarded(dialog, reference);
        }
        let exported = ExportedDialog::new(dialog, self.references.then_some(reference));
        self.records.serialize(exported).map_err(io_error)
    }

    /// Writes the members of [`ExportedDialog`], with marks where they could begin a formula.
    fn write_guarded(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        let (date, reference) = (dialog.date().to_string(), reference.to_string());
        let mut cells = vec![
            guarded(dialog.dialog_id().as_str()),
            guarded(dialog.customer_id().as_str()),
            guarded(dialog.text().as_str()),
            guarded(dialog.language().as_str()),
            "true".into(),
            date.into(),
        ];
        cells.extend(self.references.then_some(reference.into()));
        self.records.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(io_error)
    }

    pub(crate) fn into_inner(self) -> io::Result<W> {
        self.records.into_inner().map_err(|error| {
            let error = error.error();
            io::Error::new(error.kind(), error.to_string())
        })
    }
}

/// Keeps the kind of an I/O error, by which a closed pipe is recognised; the library's conversion would hide it.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other("a dialog cannot be written as CSV"),
    }
}

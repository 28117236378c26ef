//! Writes dialogs as CSV.

use std::io::{self, Write};

use csv::{Writer, WriterBuilder};
use dataapi::{Dialog, DialogRef};
use dataapi_wire::ExportedDialog;

/// Writes a header, then dialogs as CSV.
pub(crate) struct CsvWriter<W: Write> {
    records: Writer<W>,
    references: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn new(out: W, references: bool) -> io::Result<Self> {
        let mut records = WriterBuilder::new().has_headers(false).from_writer(out);
        let [columns @ .., _] = &ExportedDialog::MEMBERS;
        let columns = if references { &ExportedDialog::MEMBERS[..] } else { columns };
        records.write_record(columns).map_err(io_error)?;
        Ok(Self { records, references })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: DialogRef) -> io::Result<()> {
        let exported = ExportedDialog::new(dialog, self.references.then_some(reference));
        self.records.serialize(exported).map_err(io_error)
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

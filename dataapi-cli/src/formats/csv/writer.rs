//! Dialogs written as CSV.

use std::io::{self, Write};

use csv::{Writer, WriterBuilder};
use dataapi::{Dialog, DialogRef};

/// The last is left out of an export without references.
const COLUMNS: [&str; 7] =
    ["dialog_id", "customer_id", "text", "language", "consent_received", "date", "ref"];

/// Writes dialogs as CSV, after its header.
pub(crate) struct CsvWriter<W: Write> {
    records: Writer<W>,
    references: bool,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn new(out: W, references: bool) -> io::Result<Self> {
        let mut records = WriterBuilder::new().has_headers(false).from_writer(out);
        let columns = if references { &COLUMNS[..] } else { &COLUMNS[..6] };
        records.write_record(columns).map_err(io_error)?;
        Ok(Self { records, references })
    }

    pub(crate) fn write(&mut self, dialog: &Dialog, reference: &DialogRef) -> io::Result<()> {
        let date = dialog.date().to_string();
        let members = [
            dialog.dialog_id().as_str(),
            dialog.customer_id().as_str(),
            dialog.text().as_str(),
            dialog.language().as_str(),
            "true",
            &date,
        ];
        let reference = self.references.then(|| reference.to_string());
        let record = members.into_iter().chain(reference.as_deref());
        self.records.write_record(record).map_err(io_error)
    }

    pub(crate) fn into_inner(self) -> io::Result<W> {
        self.records.into_inner().map_err(|error| {
            let error = error.error();
            io::Error::new(error.kind(), error.to_string())
        })
    }
}

/// Its own conversion hides the kind, and with it a closed pipe.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other("a dialog cannot be written as CSV"),
    }
}

//! Reads and writes dialogs as CSV with a header (RFC 4180).

mod dialect;
mod formula;
mod reader;
mod writer;

pub(crate) use dialect::CsvDialect;
pub(crate) use reader::CsvReader;
pub(crate) use writer::CsvWriter;

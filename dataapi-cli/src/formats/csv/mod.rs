//! CSV with a header (RFC 4180): dialogs, read and written.

mod reader;
mod writer;

pub(crate) use reader::CsvReader;
pub(crate) use writer::CsvWriter;

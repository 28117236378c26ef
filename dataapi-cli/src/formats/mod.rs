//! The formats of dialogs and results, one folder each: the reader of a format is beside its writer.

mod csv;
mod dialog_reader;
mod dialog_writer;
mod file_format;
mod import_line;
pub(crate) mod jsonl;
pub(crate) mod table;

pub(crate) use dialog_reader::read_dialogs;
pub(crate) use dialog_writer::DialogWriter;
pub(crate) use file_format::FileFormat;
pub(crate) use import_line::{ImportLine, ImportLines};

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

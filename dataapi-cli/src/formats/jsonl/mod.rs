//! Reads and writes JSON Lines: dialogs, events and the manifest of an export. dataapi-wire defines the content of
//! a line, except in the list of keys.

mod key;
mod ledger_reader;
mod line;
mod manifest;
mod reader;
mod writer;

pub(crate) use key::KeyJson;
pub(crate) use ledger_reader::read_ledger;
pub(crate) use line::{write_line, write_value};
pub(crate) use manifest::{LineDigest, parse_manifest};
pub(crate) use reader::JsonlReader;
pub(crate) use writer::{JsonlWriter, export_line};

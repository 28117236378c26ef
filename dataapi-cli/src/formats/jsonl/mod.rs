//! JSON, one object a line: dialogs, events and an export's manifest, read and written; and what commands print
//! as JSON. All that the command line knows of JSON is here.

mod changes;
mod consent;
mod dialog;
mod event;
mod key;
mod line;
mod manifest;
mod reader;
mod stats;
mod subject;
mod writer;

pub(crate) use changes::parse_changes;
pub(crate) use consent::ConsentJson;
pub(crate) use dialog::{DialogJson, exported_position};
pub(crate) use event::{EventJson, read_ledger};
pub(crate) use key::KeyJson;
pub(crate) use line::{write_line, write_value};
pub(crate) use manifest::{LineDigest, Manifest};
pub(crate) use reader::JsonlReader;
pub(crate) use stats::StatsJson;
pub(crate) use subject::{SubjectDialogJson, SubjectJson};
pub(crate) use writer::{JsonlWriter, export_line};

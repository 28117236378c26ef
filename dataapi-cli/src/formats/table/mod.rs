//! Tables for people; only written.

mod dialogs;
mod keys;
mod stats;

pub(crate) use dialogs::dialog_table;
pub(crate) use keys::key_table;
pub(crate) use stats::stats_table;

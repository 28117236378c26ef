//! Which format a file of dialogs has.

use std::path::Path;

use clap::ValueEnum;

// The comments are the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

impl FileFormat {
    /// The one that was asked for, else the one that the file's name tells.
    pub(crate) fn of(asked: Option<Self>, file: &Path) -> Self {
        let is_csv =
            file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        asked.unwrap_or(if is_csv { Self::Csv } else { Self::Jsonl })
    }
}

//! The format of a file of dialogs.

use std::path::Path;

use clap::ValueEnum;

// The doc comments are the help text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

impl FileFormat {
    /// Returns the requested format, or the format that the file's name implies.
    pub(crate) fn of(asked: Option<Self>, file: &Path) -> Self {
        let is_csv =
            file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        asked.unwrap_or(if is_csv { Self::Csv } else { Self::Jsonl })
    }
}

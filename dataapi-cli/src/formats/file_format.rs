//! The format of a file of dialogs.

use std::path::Path;

use clap::ValueEnum;
use dataapi::Invalid;

// The doc comments are the help text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
    /// CSV for spreadsheets, in which nothing is taken for a formula
    #[value(skip)]
    Excel,
}

impl FileFormat {
    /// Returns the requested format, or the format that the file's name implies. With `excel` it is CSV for
    /// spreadsheets, whatever the name.
    pub(crate) fn of(asked: Option<Self>, excel: bool, file: &Path) -> Result<Self, Invalid> {
        if excel {
            return match asked {
                Some(Self::Jsonl) => {
                    Err(Invalid::new("--excel", "means CSV, and not --format jsonl"))
                }
                _ => Ok(Self::Excel),
            };
        }
        let is_csv =
            file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        Ok(asked.unwrap_or(if is_csv { Self::Csv } else { Self::Jsonl }))
    }
}

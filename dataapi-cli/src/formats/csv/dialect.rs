//! For whom a CSV file is.

/// For whom a CSV file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CsvDialect {
    /// For programs: every value as it is.
    Plain,
    /// For spreadsheets: with a byte order mark, CRLF, and values that are not taken for formulas.
    Spreadsheet,
}

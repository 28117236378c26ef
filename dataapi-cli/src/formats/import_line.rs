//! One line of an input in any format, and the reasons that make a line unreadable in every format.

use std::io;

use dataapi::{ImportedDialog, Invalid};

/// One dialog of an input, or why the line holds none.
#[derive(Debug)]
pub(crate) struct ImportLine {
    /// The line where it starts; the first line is 1.
    pub(crate) number: u64,
    /// The line where it ends: a later one if a quoted text has line breaks, or if a quote is not closed.
    pub(crate) last: u64,
    pub(crate) dialog: Result<ImportedDialog, Invalid>,
}

/// The lines of an input, read in constant memory; an error is the last item.
pub(crate) type ImportLines = Box<dyn Iterator<Item = io::Result<ImportLine>> + Send>;

/// The longest line to read, in bytes: each byte of the text can be escaped as six.
pub(super) fn longest_line(max_text: usize) -> usize {
    max_text.saturating_mul(6).saturating_add(16 * 1024)
}

pub(super) fn too_long(longest: usize) -> Invalid {
    Invalid::new("the line", format!("must be at most {longest} bytes long"))
}

pub(super) fn not_utf8<E>(_: E) -> Invalid {
    Invalid::new("the line", "must be UTF-8")
}

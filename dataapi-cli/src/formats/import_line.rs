//! One dialog of an input, whatever its format, and what makes any line unreadable.

use std::io;

use dataapi::{ImportedDialog, Invalid};

/// One dialog of an input, or why it is none.
#[derive(Debug)]
pub(crate) struct ImportLine {
    /// Where it starts; the first line is 1.
    pub(crate) number: u64,
    /// Where it ends, which is elsewhere when a text or an open quote goes over lines.
    pub(crate) last: u64,
    pub(crate) dialog: Result<ImportedDialog, Invalid>,
}

/// The lines of an input, read in constant memory; an error ends them.
pub(crate) type ImportLines = Box<dyn Iterator<Item = io::Result<ImportLine>> + Send>;

/// The most bytes of a line worth reading: each byte of the text may be written in six.
pub(super) fn longest_line(max_text: usize) -> usize {
    max_text.saturating_mul(6).saturating_add(16 * 1024)
}

pub(super) fn too_long(longest: usize) -> Invalid {
    Invalid::new("the line", format!("must be at most {longest} bytes long"))
}

pub(super) fn not_utf8<E>(_: E) -> Invalid {
    Invalid::new("the line", "must be UTF-8")
}

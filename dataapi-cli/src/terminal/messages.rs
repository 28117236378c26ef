//! Messages on standard error.

use std::io::{self, Write};

/// Writes a line to standard error. If that is closed, the work still goes on.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

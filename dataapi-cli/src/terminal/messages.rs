//! Lines on standard error.

use std::io::{self, Write};

/// Writes a line to standard error. That it may be closed must not end the work.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

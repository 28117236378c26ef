//! Writes a value as JSON, for a file or for a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::terminal::steers;

/// Writes `value` as one line of JSON.
pub(crate) fn write_line<W: Write>(
    out: &mut W,
    value: &impl Serialize,
    on_terminal: bool,
) -> io::Result<()> {
    write_value(out, value, on_terminal)?;
    out.write_all(b"\n")
}

/// Writes `value` as JSON. On a terminal, characters that control it become `\u…` escapes, which mean the same in
/// JSON.
pub(crate) fn write_value<W: Write>(
    out: &mut W,
    value: &impl Serialize,
    on_terminal: bool,
) -> io::Result<()> {
    if on_terminal {
        value.serialize(&mut Serializer::with_formatter(&mut *out, EscapingFormatter))?;
    } else {
        value.serialize(&mut Serializer::with_formatter(&mut *out, CompactFormatter))?;
    }
    Ok(())
}

/// Escapes all characters that control a terminal.
struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(steers) {
            let (plain, from) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut from = from.chars();
            // Four digits are enough for all of them.
            from.next().map_or(Ok(()), |c| write!(out, "\\u{:04x}", u32::from(c)))?;
            rest = from.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{7f} a\u{202e}b\u{2066}c";

    #[test]
    fn json_on_a_terminal_steers_nothing_and_says_the_same() -> io::Result<()> {
        let (mut shown, mut plain) = (Vec::new(), Vec::new());
        write_line(&mut shown, &HOSTILE, true)?;
        write_line(&mut plain, &HOSTILE, false)?;
        let shown = String::from_utf8_lossy(&shown);
        assert!(!shown.trim_end().contains(steers));
        assert_eq!(serde_json::from_str::<String>(&shown)?, HOSTILE);
        assert_eq!(serde_json::from_slice::<String>(&plain)?, HOSTILE);
        assert!(String::from_utf8_lossy(&plain).contains('\u{202e}'));
        Ok(())
    }
}

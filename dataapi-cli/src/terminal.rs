//! What a terminal may be shown: a stored text must not steer it, nor pose as something else.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Whether a terminal acts on `c` instead of showing it: control characters, and those that turn
/// the direction of what follows them.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` in one line of at most `width` characters, with all that steers a terminal spelt out.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let mut line = String::new();
    let mut left = width;
    for word in text.split_whitespace() {
        let gap = if line.is_empty() { "" } else { " " };
        for c in gap.chars().chain(word.chars()) {
            let Some(rest) = left.checked_sub(1) else {
                line.push('…');
                return line;
            };
            left = rest;
            if steers(c) { line.extend(c.escape_unicode()) } else { line.push(c) }
        }
    }
    line
}

/// Writes `value` as a line of JSON.
pub(crate) fn write_json<W: Write>(
    out: &mut W,
    value: &impl Serialize,
    on_terminal: bool,
) -> io::Result<()> {
    write_json_value(out, value, on_terminal)?;
    out.write_all(b"\n")
}

/// Writes `value` as JSON; on a terminal all that steers it becomes `\u….`, which says the same in
/// JSON.
pub(crate) fn write_json_value<W: Write>(
    out: &mut W,
    value: &impl Serialize,
    on_terminal: bool,
) -> io::Result<()> {
    if on_terminal {
        value.serialize(&mut Serializer::with_formatter(&mut *out, Harmless))?;
    } else {
        value.serialize(&mut Serializer::with_formatter(&mut *out, CompactFormatter))?;
    }
    Ok(())
}

struct Harmless;

impl Formatter for Harmless {
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
    fn a_line_shows_what_it_does_not_obey() {
        assert_eq!(
            one_line(HOSTILE, 100),
            "\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{7f} a\\u{202e}b\\u{2066}c"
        );
    }

    #[test]
    fn a_line_is_folded_and_cut() {
        assert_eq!(one_line("  one\r\n\ttwo\n\nthree ", 100), "one two three");
        assert_eq!(one_line("one two", 7), "one two");
        assert_eq!(one_line("one two", 6), "one tw…");
        assert_eq!(one_line("שלום 👩‍👩‍👧", 100), "שלום 👩‍👩‍👧");
        assert_eq!(one_line("\n", 5), "");
    }

    #[test]
    fn json_on_a_terminal_steers_nothing_and_says_the_same() -> io::Result<()> {
        let (mut shown, mut plain) = (Vec::new(), Vec::new());
        write_json(&mut shown, &HOSTILE, true)?;
        write_json(&mut plain, &HOSTILE, false)?;
        let shown = String::from_utf8_lossy(&shown);
        assert!(!shown.trim_end().contains(steers));
        assert_eq!(serde_json::from_str::<String>(&shown)?, HOSTILE);
        assert_eq!(serde_json::from_slice::<String>(&plain)?, HOSTILE);
        assert!(String::from_utf8_lossy(&plain).contains('\u{202e}'));
        Ok(())
    }
}

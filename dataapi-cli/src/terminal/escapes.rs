//! Escapes text for a terminal: a stored text must neither control the terminal nor imitate other output.

/// Whether a terminal acts on `c` instead of showing it: control characters, line and paragraph separators, and
/// characters that change the direction of the text.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns `text` as one line of at most `width` characters, with every character escaped that controls a
/// terminal.
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
}

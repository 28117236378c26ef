//! Keeps a spreadsheet from taking a value for a formula, which could send what is in the sheet elsewhere; and undoes
//! that. The characters are those that OWASP lists under "CSV injection".

use std::borrow::Cow;

/// Put before a character that would begin a formula. Spreadsheets then show the value as it is.
const MARK: char = '\'';

/// Returns the value with a mark before each character that could begin a formula: at its beginning, and after what a
/// spreadsheet that separates cells by something else than commas takes for the end of a cell. A mark in such a place
/// gets one as well, so that [`unguarded`] gives the value back.
pub(super) fn guarded(value: &str) -> Cow<'_, str> {
    let mut guarded = String::new();
    let mut copied = 0;
    let mut begins = Place::Value;
    for (at, c) in value.char_indices() {
        if begins.needs_mark(c) {
            guarded.push_str(&value[copied..at]);
            guarded.push(MARK);
            copied = at;
        }
        begins = Place::after(c);
    }
    if copied == 0 && guarded.is_empty() {
        return value.into();
    }
    guarded.push_str(&value[copied..]);
    guarded.into()
}

/// Returns the value that [`guarded`] got.
pub(super) fn unguarded(value: &str) -> Cow<'_, str> {
    let mut plain = String::new();
    let mut copied = 0;
    let mut begins = Place::Value;
    let mut chars = value.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_mark = c == MARK && begins != Place::Within;
        match chars.peek() {
            Some(&(next_at, next)) if is_mark && begins.needs_mark(next) => {
                plain.push_str(&value[copied..at]);
                copied = next_at;
                chars.next();
                begins = Place::after(next);
            }
            _ => begins = Place::after(c),
        }
    }
    if copied == 0 {
        return value.into();
    }
    plain.push_str(&value[copied..]);
    plain.into()
}

/// Where a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of the value.
    Value,
    /// Where a spreadsheet could see the beginning of a cell.
    Cell,
    /// Within a cell.
    Within,
}

impl Place {
    fn after(c: char) -> Self {
        if matches!(c, ';' | '\t' | '\r' | '\n') { Self::Cell } else { Self::Within }
    }

    fn needs_mark(self, c: char) -> bool {
        let begins_formula = matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | MARK);
        match self {
            Self::Value => begins_formula || matches!(c, '\t' | '\r' | '\n'),
            Self::Cell => begins_formula,
            Self::Within => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_begins_a_formula_is_marked_and_nothing_else() {
        for (value, expected) in [
            ("", ""),
            ("a=1", "a=1"),
            ("=1", "'=1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("\nx", "'\nx"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("'tis", "''tis"),
            ("a;=1;-2", "a;'=1;'-2"),
            ("a\n=1\nb", "a\n'=1\nb"),
            ("it's", "it's"),
        ] {
            assert_eq!(guarded(value), expected, "{value:?}");
            assert_eq!(unguarded(expected), value);
        }
        assert_eq!(unguarded("'tis"), "'tis", "an apostrophe that nobody added stays");
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in "[=+@＝'a;\t\r\n -]{0,12}|.{0,12}") {
            let marked = guarded(&value);
            prop_assert_eq!(unguarded(&marked), &*value);
            let cells = marked.split([';', '\t', '\r', '\n']);
            for cell in cells {
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']), "{:?}", marked);
            }
        }
    }
}

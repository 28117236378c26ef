//! Compares what a document shows with what a program prints.

use std::sync::LazyLock;

use regex::Regex;

/// Patterns of what differs from run to run, and the names that are compared instead. A document may write
/// `…` for the rest of a key or a cursor.
static VARYING: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    let pattern = |pattern| Regex::new(pattern).expect("a pattern");
    [
        (pattern(r"dataapi_(?:[0-9a-f]{64}|…)"), "KEY"),
        (pattern(r"\bcursor=(?:[\w.~-]|%[0-9A-F]{2})*…?"), "cursor=CURSOR"),
        (pattern(r"\b[0-9a-f]{64}\b"), "HASH"),
        (pattern(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
        (pattern(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"), "DATE"),
    ]
});

/// A line that stands for any number of lines.
const ANY_LINES: &str = "…";

/// Whether the document shows that output. Empty lines at the end do not count.
pub(crate) fn is_shown(shown: &str, real: &str) -> bool {
    let (shown, real) = (comparable(shown), comparable(real));
    let [shown, real] = [&shown, &real].map(|text| text.lines().collect::<Vec<_>>());
    are_shown(&shown, &real)
}

fn comparable(text: &str) -> String {
    let mut text = text.trim_end().to_owned();
    for (pattern, name) in VARYING.iter() {
        text = pattern.replace_all(&text, *name).into_owned();
    }
    text
}

fn are_shown(shown: &[&str], real: &[&str]) -> bool {
    match shown {
        [] => real.is_empty(),
        [first, rest @ ..] if first.trim() == ANY_LINES => {
            (0..=real.len()).any(|skipped| are_shown(rest, &real[skipped..]))
        }
        [first, rest @ ..] => real.first() == Some(first) && are_shown(rest, &real[1..]),
    }
}

#[test]
fn only_what_varies_may_differ() {
    let hash = |digit: &str| digit.repeat(64);
    let date = "2026-11-24T02:29:15.340656Z";
    assert!(is_shown(date, "2026-12-01T00:00:00Z\n"));
    assert!(is_shown(&format!("{}@1", hash("a")), &format!("{}@1\n", hash("b"))));
    assert!(!is_shown(&format!("{}@1", hash("a")), &format!("{}@2\n", hash("a"))));
    assert!(is_shown("dataapi_…", &format!("dataapi_{}", hash("3"))));
    assert!(!is_shown("dataapi_requests", "dataapi_answers"));
    assert!(is_shown("\"/data/?cursor=…\"", "\"/data/?cursor=aB3-_%3D\""));
    assert!(is_shown(
        "018f6f6c-0000-7000-8000-00000000000a",
        "018f6f6d-1111-7111-8111-11111111111b"
    ));
    assert!(!is_shown("a b", "a  b"));
    assert!(!is_shown("a", "a\nb"));
    assert!(is_shown("a\n…\nd", "a\nb\nc\nd\n") && is_shown("a\n…", "a"));
    assert!(!is_shown("a\n…\nd", "a\nb\nc\n"));
    assert!(is_shown("", "") && !is_shown("", "a"));
}

//! Any input in place of a cursor: what is accepted reads back as itself, and no refusal repeats the input. `./check
//! --long` searches for hours.

use bolero::check;
use dataapi_core::{Cursor, Filter, PageRequest, Start, Window};

#[test]
fn cursor() {
    check!(name = "cursor").for_each(|input: &[u8]| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        let cursor = match text.parse::<Cursor>() {
            Ok(cursor) => cursor,
            Err(refusal) => return assert!(!refusal.to_string().contains("MARKER")),
        };
        assert_eq!(cursor.to_string(), text, "a cursor has only one text");
        assert_eq!(text.parse::<Cursor>().as_ref(), Ok(&cursor));

        let window = Window { start: Start::After(cursor.clone()), ..Window::default() };
        let genuine = Cursor::in_filter(&Filter::default(), cursor.position().clone());
        let is_taken = PageRequest::new(Filter::default(), window).is_ok();
        assert_eq!(is_taken, genuine == cursor, "only the filter that gave it accepts it");
    });
}

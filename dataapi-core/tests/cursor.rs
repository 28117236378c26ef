//! Cursors: opaque, safe in a URL, and valid only for the pages that they came from.

use dataapi_core::{
    Cursor, CustomerId, Date, DialogId, Filter, Invalid, Language, PageRequest, Position, Reach,
    Start, SubjectRequest, Window,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn quiet() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn dialog_id() -> impl Strategy<Value = DialogId> {
    let text = prop_oneof![9 => "\\PC{1,40}", 1 => "\\PC{63}", 1 => "[a-z]{255}"];
    text.prop_filter_map("not every text is an id", |text| text.parse().ok())
}

fn customer_id() -> impl Strategy<Value = CustomerId> {
    dialog_id().prop_map(|id| id.as_str().parse().expect("both ids have the same bounds"))
}

fn language() -> impl Strategy<Value = Language> {
    select(&["en", "de", "pt-BR", "pt", "x-y", "zh-Hant-TW"][..])
        .prop_map(|tag| tag.parse().expect("a well-formed tag"))
}

fn date() -> impl Strategy<Value = Date> {
    let near = -3..3_i64;
    let any = Date::MIN.as_micros()..=Date::MAX.as_micros();
    prop_oneof![near, any].prop_map(|micros| Date::from_micros(micros).expect("within the bounds"))
}

fn position() -> impl Strategy<Value = Position> {
    (date(), dialog_id()).prop_map(|(date, dialog_id)| Position { date, dialog_id })
}

/// The parts of a filter, so that each can be changed.
#[derive(Clone, Debug, PartialEq)]
struct Parts {
    customer: Option<CustomerId>,
    language: Option<Language>,
    from: Option<Date>,
    to: Option<Date>,
}

impl Parts {
    fn filter(&self) -> Option<Filter> {
        let mut filter = Filter::default();
        if let Some(customer) = &self.customer {
            filter = filter.customer(customer.clone());
        }
        if let Some(language) = &self.language {
            filter = filter.language(language.clone());
        }
        filter.between(self.from, self.to).ok()
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    (option::of(customer_id()), option::of(language()), option::of(date()), option::of(date()))
        .prop_map(|(customer, language, from, to)| Parts { customer, language, from, to })
}

fn filter() -> impl Strategy<Value = Filter> {
    parts().prop_filter_map("'to' does not lie before 'from'", |parts| parts.filter())
}

fn go_on(filter: &Filter, cursor: Cursor) -> Result<PageRequest, Invalid> {
    PageRequest::new(filter.clone(), Window { start: Start::After(cursor), ..Window::default() })
}

fn go_on_with_subject(customer: &CustomerId, cursor: Cursor) -> Result<SubjectRequest, Invalid> {
    let window = Window { start: Start::After(cursor), ..Window::default() };
    SubjectRequest::new(customer.clone(), window)
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn a_cursor_reads_back_as_itself(filter in filter(), position in position()) {
        let cursor = Cursor::in_filter(&filter, position.clone());
        let text = cursor.to_string();
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        prop_assert!(text.bytes().all(unreserved), "a cursor needs no escaping in a URL");
        let read: Cursor = text.parse()?;
        prop_assert_eq!(read.position(), &position);
        prop_assert_eq!(&read, &cursor);
        prop_assert!(go_on(&filter, read).is_ok(), "its own filter accepts it");
    }

    #[test]
    fn a_subject_cursor_reads_back_as_itself(customer in customer_id(), position in position()) {
        let cursor = Cursor::in_subject(&customer, position.clone());
        let read: Cursor = cursor.to_string().parse()?;
        prop_assert_eq!(read.position(), &position);
        prop_assert!(go_on_with_subject(&customer, read).is_ok(), "the data of its own customer accepts it");
    }

    #[test]
    fn a_cursor_is_refused_by_every_other_filter(
        one in parts(),
        other in parts(),
        changed in 0..4_usize,
        position in position(),
    ) {
        let mut near = one.clone();
        match changed {
            0 => near.customer = other.customer.clone(),
            1 => near.language = other.language.clone(),
            2 => near.from = other.from,
            _ => near.to = other.to,
        }
        // A value can also move from one bound to the other.
        let swapped = Parts { from: one.to, to: one.from, ..one.clone() };
        let Some(filter) = one.filter() else { return Ok(()) };
        let cursor = Cursor::in_filter(&filter, position);
        for parts in [near, swapped, other] {
            let Some(another) = parts.filter() else { continue };
            let answer = go_on(&another, cursor.clone());
            prop_assert_eq!(answer.is_ok(), another == filter);
            if let Err(refusal) = answer {
                prop_assert_eq!(refusal.field, "cursor");
            }
        }
    }

    #[test]
    fn the_case_of_a_language_is_no_other_filter(position in position(), tag in language()) {
        let sent = Filter::default().language(tag.clone());
        for cased in [tag.as_str().to_ascii_lowercase(), tag.as_str().to_ascii_uppercase()] {
            let cursor = Cursor::in_filter(&sent, position.clone());
            prop_assert!(go_on(&Filter::default().language(cased.parse()?), cursor).is_ok());
        }
    }

    #[test]
    fn pages_and_subject_data_do_not_share_cursors(
        customer in customer_id(),
        another in customer_id(),
        position in position(),
    ) {
        let filter = Filter::default().customer(customer.clone());
        let of_filter = Cursor::in_filter(&filter, position.clone());
        let of_subject = Cursor::in_subject(&customer, position);
        prop_assert!(go_on_with_subject(&customer, of_filter).is_err());
        prop_assert!(go_on(&filter, of_subject.clone()).is_err());
        prop_assert!(go_on(&Filter::default(), of_subject.clone()).is_err());
        let answer = go_on_with_subject(&another, of_subject);
        prop_assert_eq!(answer.is_ok(), another == customer);
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,80}"]) {
        match text.parse::<Cursor>() {
            Ok(cursor) => {
                prop_assert_eq!(cursor.to_string(), text, "a cursor has only one text");
                prop_assert!(go_on(&Filter::default(), cursor).is_err(), "no page gave this cursor");
            }
            Err(refusal) => prop_assert_eq!(refusal.field, "cursor"),
        }
    }

    #[test]
    fn a_changed_cursor_is_never_taken(
        filter in filter(),
        position in position(),
        place in any::<prop::sample::Index>(),
        change in "[A-Za-z0-9_=.%-]{0,2}",
    ) {
        let text = Cursor::in_filter(&filter, position).to_string();
        let place = place.index(text.len());
        let mut changed = text.clone();
        changed.replace_range(place..=place, &change);
        prop_assume!(changed != text);
        if let Ok(cursor) = changed.parse() {
            prop_assert!(go_on(&filter, cursor).is_err(), "it was tampered with");
        }
    }

    #[test]
    fn a_cut_or_lengthened_cursor_is_never_taken(
        filter in filter(),
        position in position(),
        keep in any::<prop::sample::Index>(),
        more in "[A-Za-z0-9_=-]{1,4}",
    ) {
        let text = Cursor::in_filter(&filter, position).to_string();
        for changed in [text[..keep.index(text.len())].to_owned(), text + &more] {
            if let Ok(cursor) = changed.parse() {
                prop_assert!(go_on(&filter, cursor).is_err(), "it was tampered with");
            }
        }
    }
}

/// A cursor must not carry what one key has seen to another key.
#[test]
fn a_cursor_is_refused_within_other_bounds() {
    let languages = |reach: Reach, tags: &[&str]| {
        let tags = tags.iter().map(|tag| tag.parse().expect("a tag")).collect();
        reach.only_languages(tags).expect("a few languages")
    };
    let shop = || Reach::default().only_customers("shop-".parse().expect("a prefix"));
    let reaches = [
        Reach::default(),
        shop(),
        Reach::default().only_customers("shop".parse().expect("a prefix")),
        languages(Reach::default(), &["en"]),
        languages(Reach::default(), &["de", "en"]),
        languages(shop(), &["en"]),
        languages(shop(), &["de"]),
    ];
    let place = Position { date: Date::MIN, dialog_id: "d-1".parse().expect("an id") };
    for (number, from) in reaches.iter().enumerate() {
        let cursor = Cursor::in_filter(&Filter::default().within(from.clone()), place.clone());
        for (other, to) in reaches.iter().enumerate() {
            let answer = go_on(&Filter::default().within(to.clone()), cursor.clone());
            assert_eq!(answer.is_ok(), number == other, "{from:?}, {to:?}");
        }
    }
}

//! The order of pages, what a filter matches, and where a page is cut.

use std::cmp::Ordering;

use dataapi_core::{
    Cursor, CustomerId, Date, Dialog, DialogId, Filter, Language, Limit, NewDialog, PageRequest,
    Position, Positioned, Start, StoredDialog, SubjectRequest, Upper, Window,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn quiet() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Few dates, so that many positions share one.
fn date() -> impl Strategy<Value = Date> {
    (-2..3_i64).prop_map(|micros| Date::from_micros(micros).expect("it is within the bounds"))
}

/// Short ids with characters that other orders sort differently than by bytes.
fn dialog_id() -> impl Strategy<Value = DialogId> {
    "[aAbBzéß～🙂_ /%9]{1,3}".prop_map(|id| id.parse().expect("a valid id"))
}

fn position() -> impl Strategy<Value = Position> {
    (date(), dialog_id()).prop_map(|(date, dialog_id)| Position { date, dialog_id })
}

fn customer_id() -> impl Strategy<Value = CustomerId> {
    select(&["anna", "Anna", "ben"][..]).prop_map(|id| id.parse().expect("a valid id"))
}

fn language() -> impl Strategy<Value = Language> {
    select(&["en", "EN", "de", "en-GB"][..]).prop_map(|tag| tag.parse().expect("a valid tag"))
}

fn filter() -> impl Strategy<Value = Filter> {
    let parts =
        (option::of(customer_id()), option::of(language()), option::of(date()), option::of(date()));
    parts.prop_filter_map("'to' does not lie before 'from'", |(customer, language, from, to)| {
        let mut filter = Filter::default();
        if let Some(customer) = customer {
            filter = filter.customer(customer);
        }
        if let Some(language) = language {
            filter = filter.language(language);
        }
        filter.between(from, to).ok()
    })
}

/// The order as the contract states it.
fn comes_first(one: &Position, other: &Position) -> Ordering {
    let newest_first = other.date.as_micros().cmp(&one.date.as_micros());
    let one = one.dialog_id.as_str().as_bytes();
    newest_first.then(other.dialog_id.as_str().as_bytes().cmp(one))
}

fn consented(Position { date, dialog_id }: Position) -> Dialog {
    let dialog = NewDialog::parse("anna", dialog_id.as_str(), "en", "Hello").expect("it is valid");
    StoredDialog::new(dialog, date, true).readable().expect("it is consented")
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn newest_first_then_ids_in_descending_bytes(one in position(), other in position()) {
        prop_assert_eq!(one.cmp(&other), comes_first(&one, &other));
        prop_assert_eq!(one.partial_cmp(&other), Some(one.cmp(&other)));
        prop_assert_eq!(one == other, one.cmp(&other).is_eq());
    }

    #[test]
    fn the_order_is_total(a in position(), b in position(), c in position()) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn a_filter_matches_what_every_condition_allows(
        filter in filter(),
        customer in customer_id(),
        language in language(),
        date in date(),
    ) {
        let expected = filter.customer_id().is_none_or(|it| it.as_str() == customer.as_str())
            && (filter.language_ranges().is_empty()
                || filter.language_ranges().iter().any(|it| {
                    it.to_string().eq_ignore_ascii_case(language.as_str())
                }))
            && filter.from().is_none_or(|from| date >= from)
            && filter.to().is_none_or(|to| date < to);
        prop_assert_eq!(filter.matches(&customer, &language, date), expected);
    }

    #[test]
    fn a_range_is_refused_only_if_it_ends_before_it_starts(
        from in option::of(date()),
        to in option::of(date()),
    ) {
        let reversed = from.zip(to).is_some_and(|(from, to)| to < from);
        let filter = Filter::default().between(from, to);
        prop_assert_eq!(filter.is_err(), reversed);
        if let Ok(filter) = filter {
            prop_assert_eq!((filter.from(), filter.to()), (from, to));
        }
    }

    /// A backend enters its index at one bound, but both must hold.
    #[test]
    fn the_upper_bound_is_the_tighter_of_to_and_cursor(
        filter in filter(),
        cursor in option::of(position()),
        place in position(),
    ) {
        let start = cursor.clone().map_or(Start::Offset(0), |position| {
            Start::After(Cursor::in_filter(&filter, position))
        });
        let both = filter.to().is_none_or(|to| place.date < to)
            && cursor.is_none_or(|cursor| place > cursor);
        let request = PageRequest::new(filter, Window { start, ..Window::default() })?;
        let one = match request.upper() {
            Upper::None => true,
            Upper::Before(date) => place.date < date,
            Upper::After(position) => place > *position,
        };
        prop_assert_eq!(one, both);
    }

    #[test]
    fn a_page_is_cut_at_its_limit_and_goes_on_behind_its_last(
        filter in filter(),
        mut places in prop::collection::vec(position(), 0..8),
        limit in 1..6_u64,
        total in option::of(any::<u64>()),
    ) {
        places.sort();
        let limit = Limit::new(limit)?;
        let window = Window { limit, ..Window::default() };
        let request = PageRequest::new(filter.clone(), window)?;
        // A backend finds up to one more than the limit.
        places.truncate(limit.get() + 1);
        let page = request.page(places.iter().cloned().map(consented).collect(), total);
        let more = places.len() > limit.get();
        places.truncate(limit.get());
        let items: Vec<_> = page.items.iter().map(Positioned::position).collect();
        prop_assert_eq!(&items, &places);
        prop_assert_eq!(page.total, total);
        let next = places.last().filter(|_| more);
        prop_assert_eq!(page.next.as_ref().map(Cursor::position), next);
        if let Some(cursor) = page.next {
            let window = Window { start: Start::After(cursor), ..Window::default() };
            prop_assert!(PageRequest::new(filter, window).is_ok(), "the same filter continues");
        }
    }
}

#[test]
fn a_request_tells_a_backend_all_that_it_asks_for() {
    let customer: CustomerId = "anna".parse().expect("a valid id");
    let limit = Limit::new(7).expect("a limit");
    assert_eq!((limit.get(), Limit::default().get(), Limit::MAX.get()), (7, 100, 1000));
    let place = Position { date: Date::MIN, dialog_id: "d-1".parse().expect("a valid id") };
    let filter = Filter::default().customer(customer.clone());
    for offset in [0, 1, 5, u64::MAX] {
        let window = Window { limit, start: Start::Offset(offset), total: false };
        assert_eq!(window.offset(), offset);
        let pages = PageRequest::new(filter.clone(), window.clone()).expect("no cursor");
        assert_eq!(
            (pages.filter(), pages.window(), pages.upper()),
            (&filter, &window, Upper::None)
        );
        let own = SubjectRequest::new(customer.clone(), window.clone()).expect("no cursor");
        assert_eq!((own.customer_id(), own.window(), own.after()), (&customer, &window, None));
    }
    let after = |cursor| Window { start: Start::After(cursor), ..Window::default() };
    let window = after(Cursor::in_filter(&filter, place.clone()));
    assert_eq!(window.offset(), 0);
    let pages = PageRequest::new(filter, window.clone()).expect("its own cursor");
    assert_eq!((pages.window(), pages.upper()), (&window, Upper::After(&place)));
    let window = after(Cursor::in_subject(&customer, place.clone()));
    let own = SubjectRequest::new(customer, window.clone()).expect("its own cursor");
    assert_eq!((own.window(), own.after()), (&window, Some(&place)));
}

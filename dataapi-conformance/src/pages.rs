//! Pages: their order, filters, totals, limits, offsets and cursors.

use std::sync::Arc;

use dataapi_core::{
    Allowance, Clock, Cursor, CustomerId, Date, DialogId, DialogStore, Filter, ImportedDialog,
    Language, LanguageRange, Limit, PageRequest, Position, Positions, Reach, Start, StoreError,
    SubjectRequest, Window,
};

use crate::ManualClock;
use crate::scene::{
    MICROSECOND, Met, SECOND, after, customer, dialog, grant, id, ids, insert, insert_consented,
    language, largest, limit, listed, newest, page, withdraw, worded,
};

/// A readable dialog of a populated store.
struct Row {
    customer: CustomerId,
    dialog: DialogId,
    language: Language,
    date: Date,
}

/// Stores dialogs of several customers, languages and dates, many of them with equal dates, with pending and erased
/// ones in between. Returns the readable ones in the order of pages.
async fn populate(store: &dyn DialogStore, clock: &ManualClock) -> Vec<Row> {
    let mut rows = Vec::new();
    for number in 0..60_usize {
        let whose = ["anna", "ben", "Anna", "zoë"][number % 4];
        let tag = ["en", "de", "EN", "pt-BR", "pt-br"][number % 5];
        let name = format!("{}-{number}", ["d", "D", "é", "🙂", "～", "/%"][number * 7 % 6]);
        let date = store.insert(worded(whose, &name, tag, &format!("words {number}"))).await;
        let date = date.expect("a new dialog is stored").date;
        match number % 6 {
            4 => {}
            5 => {
                withdraw(store, &name).await;
            }
            _ => {
                grant(store, &name).await;
                let (customer, dialog) = (customer(whose), id(&name));
                rows.push(Row { customer, dialog, language: language(tag), date });
            }
        }
        match number % 8 {
            5 => clock.advance(MICROSECOND),
            7 => clock.advance(SECOND),
            _ => {}
        }
    }
    rows.sort_by(|one, other| {
        other
            .date
            .cmp(&one.date)
            .then_with(|| other.dialog.as_str().as_bytes().cmp(one.dialog.as_str().as_bytes()))
    });
    rows
}

fn ranges(asked: &[&str]) -> Vec<LanguageRange> {
    asked.iter().map(|range| range.parse().expect("a range")).collect()
}

fn matching(rows: &[Row], filter: &Filter) -> Vec<String> {
    let matching = rows.iter().filter(|row| {
        filter.customer_id().is_none_or(|wanted| wanted == &row.customer)
            && (filter.language_ranges().is_empty()
                || filter.language_ranges().iter().any(|range| is_in(range, &row.language)))
            && filter.from().is_none_or(|from| row.date >= from)
            && filter.to().is_none_or(|to| row.date < to)
    });
    matching.map(|row| row.dialog.as_str().to_owned()).collect()
}

fn is_in(range: &LanguageRange, language: &Language) -> bool {
    let (range, tag) = (range.to_string().to_lowercase(), language.as_str().to_lowercase());
    match range.strip_suffix("-*") {
        Some(prefix) => tag == prefix || tag.starts_with(&format!("{prefix}-")),
        None => tag == range,
    }
}

/// Returns every combination of conditions, over dates that dialogs have and dates that none has.
fn filters(rows: &[Row]) -> Vec<Filter> {
    let newest = rows[0].date;
    let middle = rows[rows.len() / 2].date;
    let between = middle.saturating_add(MICROSECOND);
    let mut filters = Vec::new();
    for whose in [None, Some("anna"), Some("Anna"), Some("nobody")] {
        for tags in [&[][..], &["eN"], &["PT-BR"], &["fr"], &["de", "EN", "fr"], &["pt-*", "en"]] {
            for from in [None, Some(Date::MIN), Some(middle), Some(between)] {
                for to in [None, Some(middle), Some(between), Some(newest), Some(Date::MAX)] {
                    let mut filter = Filter::default();
                    if let Some(whose) = whose {
                        filter = filter.customer(customer(whose));
                    }
                    filter = filter.languages(ranges(tags)).expect("few enough ranges");
                    filters.extend(filter.between(from, to));
                }
            }
        }
    }
    filters
}

/// Pages contain consented dialogs, the newest date first.
pub async fn pages_show_the_newest_first(store: &dyn DialogStore, clock: &ManualClock) {
    for dialog in ["b", "d", "a", "c"] {
        insert(store, "anna", dialog).await;
        clock.advance(MICROSECOND);
    }
    // The date of consent does not affect the order.
    for dialog in ["d", "c", "b", "a"] {
        grant(store, dialog).await;
        clock.advance(SECOND);
    }
    let listed = listed(store, &Filter::default()).await;
    assert_eq!(listed, ["c", "a", "d", "b"], "the order is that of the dates of receipt");
}

/// Equal dates are ordered by the bytes of the id, descending: not by letters, UTF-16 units or a locale.
pub async fn equal_dates_are_ordered_by_id_descending_bytes(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let mut names = [
        "a", "B", "b", "A", "aa", "a b", "a/b", "Z", "z", "10", "9", "é", "e\u{301}", "～", "🙂",
        "ß", "ss", "_", "%", "\u{fffd}", "ー",
    ];
    for name in names {
        insert_consented(store, "anna", name).await;
    }
    names.sort_unstable_by(|one, other| other.as_bytes().cmp(one.as_bytes()));
    let all = Filter::default();
    assert_eq!(listed(store, &all).await, names, "equal dates are ordered by the bytes of the id");
    let mut page = page(store, &all, newest(2)).await;
    let mut met = Met::default();
    met.add(&page);
    while let Some(cursor) = page.next {
        page = crate::scene::page(store, &all, after(&cursor, 2)).await;
        met.add(&page);
    }
    assert_eq!(met.in_order(), names, "a cursor between equal dates keeps that order");
}

/// A filter returns everything that matches all its conditions, and nothing else.
pub async fn filters_return_what_matches_every_condition(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let rows = populate(store, clock).await;
    for filter in filters(&rows) {
        let expected = matching(&rows, &filter);
        let page = page(store, &filter, largest()).await;
        let wanted = (filter.customer_id().map(CustomerId::as_str), filter.language_ranges());
        let range = (filter.from(), filter.to());
        assert_eq!(
            ids(&page),
            expected,
            "everything that matches {wanted:?} in {range:?}, in order"
        );
        assert_eq!(
            page.total,
            Some(expected.len() as u64),
            "the total counts everything that matches"
        );
        assert_eq!(page.next, None, "there is no page after the last match");
    }
}

/// A language range matches its tag and every tag that begins with it and a hyphen, whatever their case, and no other
/// tag. Pages, totals and crawls cover all of them in one order.
pub async fn a_range_of_languages_matches_its_tag_and_what_begins_with_it(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let tags = ["en", "EN-gb", "enm", "en-US-x-a", "de", "En-Us", "fr-CA", "eng"];
    for (number, tag) in tags.into_iter().enumerate() {
        let dialog = worded("anna", &format!("{number}"), tag, "hello");
        store.insert(dialog).await.expect("a new dialog is stored");
        clock.advance(MICROSECOND);
    }
    // A pending dialog in a language that no other dialog has.
    store.insert(worded("anna", "pending", "en-AU", "hello")).await.expect("it is stored");
    for number in 0..tags.len() {
        grant(store, &number.to_string()).await;
    }
    for (asked, expected) in [
        (&["en-*"][..], vec!["5", "3", "1", "0"]),
        (&["EN-US-*"], vec!["5", "3"]),
        (&["en-gb-*", "de-*"], vec!["4", "1"]),
        (&["fr-*", "en"], vec!["6", "0"]),
        (&["en-*", "en", "en-us"], vec!["5", "3", "1", "0"]),
        (&["en-AU-*"], vec![]),
        (&["it-*"], vec![]),
    ] {
        let filter = Filter::default().languages(ranges(asked)).expect("few enough ranges");
        assert_eq!(listed(store, &filter).await, expected, "{asked:?}");
        let mut page = page(store, &filter, newest(1)).await;
        assert_eq!(page.total, Some(expected.len() as u64), "the total of {asked:?}");
        let mut met = Met::default();
        met.add(&page);
        while let Some(cursor) = page.next {
            page = crate::scene::page(store, &filter, after(&cursor, 1)).await;
            met.add(&page);
        }
        assert_eq!(met.in_order(), expected, "a crawl over {asked:?}");
        let of_nobody = filter.customer(customer("ben"));
        assert!(listed(store, &of_nobody).await.is_empty(), "{asked:?} of another customer");
    }
}

/// Ranges match at most 32 languages of readable dialogs. Languages that only other dialogs have do not count.
pub async fn ranges_that_match_too_many_languages_are_refused(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    for number in 0..33 {
        let (name, tag) = (format!("d-{number}"), format!("en-x-{number}"));
        store.insert(worded("anna", &name, &tag, "hello")).await.expect("it is stored");
        if number < 32 {
            grant(store, &name).await;
        }
    }
    let filter = Filter::default().languages(ranges(&["en-*"])).expect("it is one");
    assert_eq!(page(store, &filter, largest()).await.total, Some(32));
    grant(store, "d-32").await;
    let request = PageRequest::new(filter, largest()).expect("it has no cursor");
    match store.query(&request).await {
        Err(StoreError::Invalid { field: "language", .. }) => {}
        other => panic!("a range of 33 languages is refused, not answered with {other:?}"),
    }
    let two =
        Filter::default().languages(ranges(&["en-x-0", "en-x-32"])).expect("few enough ranges");
    assert_eq!(page(store, &two, largest()).await.total, Some(2));
}

/// A language range is refused to a reader that is bound to customers: it would reveal which languages other customers'
/// dialogs have. A reader that is bound to languages finds only those.
pub async fn a_range_within_bounds_tells_nothing_of_what_lies_beyond(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    for (whose, tag) in [("anna", "en-GB"), ("anna", "de"), ("ben", "en-US"), ("ben", "en-AU")] {
        store.insert(worded(whose, tag, tag, "hello")).await.expect("it is stored");
        grant(store, tag).await;
    }
    let bound = Reach::default().only_customers("anna".parse().expect("a prefix"));
    for asked in ["en-*", "cy-*"] {
        let filter = Filter::default().languages(ranges(&[asked])).expect("it is one");
        let request = PageRequest::new(filter.within(bound.clone()), largest());
        match store.query(&request.expect("it has no cursor")).await {
            Err(StoreError::Invalid { field: "language", .. }) => {}
            other => panic!("a range is refused to a reader bound to customers, not {other:?}"),
        }
    }
    let tags = vec![language("en-us"), language("de")];
    let reach = Reach::default().only_languages(tags).expect("two languages");
    let filter = Filter::default().languages(ranges(&["en-*"])).expect("it is one");
    assert_eq!(listed(store, &filter.within(reach)).await, ["en-US"]);
}

/// `from` includes its date, `to` excludes it.
pub async fn from_is_inclusive_and_to_is_exclusive(store: &dyn DialogStore, clock: &ManualClock) {
    let mut dates = Vec::new();
    for dialog in ["a", "b", "c"] {
        dates.push(insert_consented(store, "anna", dialog).await);
        clock.advance(MICROSECOND);
    }
    let [a, b, c] = dates[..] else { panic!("three dialogs were stored") };
    let between = |from, to| Filter::default().between(from, to).expect("the range is in order");
    for (filter, expected) in [
        (between(Some(b), None), vec!["c", "b"]),
        (between(None, Some(b)), vec!["a"]),
        (between(Some(a), Some(c)), vec!["b", "a"]),
        (between(Some(b), Some(c)), vec!["b"]),
        (between(Some(b), Some(b)), vec![]),
        (between(Some(Date::MIN), Some(Date::MIN)), vec![]),
        (between(Some(Date::MIN), Some(Date::MAX)), vec!["c", "b", "a"]),
        (between(Some(Date::MAX), None), vec![]),
    ] {
        assert_eq!(listed(store, &filter).await, expected, "from is inclusive, to is exclusive");
    }
}

/// `total` counts everything that matches, wherever the page starts and however short it is.
pub async fn the_total_counts_all_that_match(store: &dyn DialogStore, clock: &ManualClock) {
    let rows = populate(store, clock).await;
    let range = Filter::default().between(Some(rows[rows.len() / 2].date), None);
    let range = range.expect("an open range is in order");
    let english = Filter::default().language(language("en"));
    for filter in [Filter::default(), range, english] {
        let total = Some(matching(&rows, &filter).len() as u64);
        let first = page(store, &filter, newest(3)).await;
        assert_eq!(first.total, total, "the total counts more than the page");
        let start = Start::Offset(5);
        let second = page(store, &filter, Window { start, ..newest(2) }).await;
        assert_eq!(second.total, total, "the total includes the dialogs before the offset");
        let cursor = first.next.expect("more pages follow");
        let third = page(store, &filter, after(&cursor, 2)).await;
        assert_eq!(third.total, total, "the total includes the dialogs before the cursor");
    }
}

/// The total is `None` if it was not asked for, and the rest of the page is the same.
pub async fn the_total_is_left_out_when_not_asked_for(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    populate(store, clock).await;
    for limit in [1, 7, 1000] {
        let with = page(store, &Filter::default(), newest(limit)).await;
        let window = Window { total: false, ..newest(limit) };
        let without = page(store, &Filter::default(), window).await;
        assert_eq!(without.total, None, "there is no total unless it is asked for");
        assert_eq!(without.items, with.items, "the items are the same");
        assert_eq!(without.next, with.next, "the next page is the same");
    }
}

/// A page has at most `limit` dialogs, and a next page exactly if there are more.
pub async fn a_page_has_a_next_one_exactly_if_there_are_more(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let all = Filter::default();
    for stored in 0..5 {
        for limit in 1..=5 {
            let page = page(store, &all, newest(limit)).await;
            assert_eq!(page.items.len(), limit.min(stored), "a page is full if it can be");
            assert_eq!(
                page.next.is_some(),
                stored > limit,
                "there is a next page if there is more"
            );
        }
        insert_consented(store, "anna", &format!("d-{stored}")).await;
    }
}

/// An offset after the end returns an empty page, however large it is.
pub async fn an_offset_beyond_the_end_is_an_empty_page(store: &dyn DialogStore, _: &ManualClock) {
    for dialog in ["a", "b", "c"] {
        insert_consented(store, "anna", dialog).await;
    }
    let i64_max = i64::MAX.unsigned_abs();
    for offset in [3, 4, 1000, 1 << 32, i64_max - 1000, i64_max, i64_max + 1, u64::MAX] {
        for filter in [Filter::default(), Filter::default().customer(customer("anna"))] {
            let start = Start::Offset(offset);
            let page = page(store, &filter, Window { start, ..largest() }).await;
            assert!(page.items.is_empty(), "there is nothing after the end");
            assert_eq!(page.total, Some(3), "the total is the same after the end");
            assert_eq!(page.next, None, "there is no page after the end");
        }
    }
}

/// A page with a limit of 1000 can contain 1000 dialogs.
pub async fn a_page_holds_up_to_a_thousand(store: &dyn DialogStore, clock: &ManualClock) {
    let date = Some(clock.now().saturating_sub(SECOND));
    let batch = (0..1001).map(|number| {
        let dialog = dialog("anna", &format!("d-{number:04}"));
        ImportedDialog { dialog, date, consented: true }
    });
    let answers = store.import(batch.collect()).await.expect("an import is answered");
    assert!(answers.iter().all(Result::is_ok), "new dialogs are imported");
    let first = page(store, &Filter::default(), largest()).await;
    assert_eq!(first.items.len(), 1000, "a page contains a thousand dialogs");
    assert_eq!(first.total, Some(1001), "the total counts all");
    let cursor = first.next.expect("one more follows");
    let last = page(store, &Filter::default(), after(&cursor, 1000)).await;
    assert_eq!(ids(&last), ["d-0000"], "the last one is on the next page");
}

/// Allows so many bytes.
struct Allowed(usize);

impl Allowance for Allowed {
    fn allows(&self, bytes: usize) -> bool {
        bytes <= self.0
    }
}

/// A read of dialogs that are too long for its allowance is refused, and one that fits is answered as without it.
pub async fn a_read_ends_when_it_may_hold_no_more(store: &dyn DialogStore, _: &ManualClock) {
    for name in ["a", "b", "c", "d"] {
        store
            .insert(worded("anna", name, "en", &"long ".repeat(10_000)))
            .await
            .expect("it is stored");
        grant(store, name).await;
    }
    let (all, reach) = (Positions::default(), Reach::default());
    let query = PageRequest::default();
    let subject = SubjectRequest::new(customer("anna"), Window::default()).expect("a request");
    let fits = || -> Arc<dyn Allowance> { Arc::new(Allowed(1 << 20)) };
    let page = store.query_within(&query, fits()).await.expect("it fits");
    assert_eq!(page, store.query(&query).await.expect("a page"));
    let page = store.subject_data_within(&subject, fits()).await.expect("it fits");
    assert_eq!(page, store.subject_data(&subject).await.expect("a page"));
    let changes = store.changes_within(&all, Limit::MAX, &reach, fits()).await.expect("they fit");
    assert_eq!(changes, store.changes(&all, Limit::MAX, &reach).await.expect("changes"));

    // Three of them, since a store reads one more than the limit.
    let small = || -> Arc<dyn Allowance> { Arc::new(Allowed(170_000)) };
    let refused = [
        store.query_within(&query, small()).await.err(),
        store.subject_data_within(&subject, small()).await.err(),
        store.changes_within(&all, Limit::MAX, &reach, small()).await.err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Some(StoreError::Overloaded { .. })), "{refused:?}");
    }
    let fewer = PageRequest::new(Filter::default(), newest(2)).expect("a request");
    assert!(store.query_within(&fewer, small()).await.is_ok_and(|page| page.items.len() == 2));
}

/// Pages by offset, in steps of the limit, make up the full list.
pub async fn pages_by_offset_concatenate_to_the_full_list(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let rows = populate(store, clock).await;
    for filter in filters(&rows).into_iter().step_by(7) {
        let expected = matching(&rows, &filter);
        for size in [1, 2, 3, 7, 40] {
            for first in [0, 1, 5] {
                let mut found = Vec::new();
                let mut offset = first;
                loop {
                    let start = Start::Offset(offset as u64);
                    let window = Window { limit: limit(size), start, total: false };
                    let page = page(store, &filter, window).await;
                    found.extend(ids(&page));
                    offset += size;
                    if page.next.is_none() {
                        break;
                    }
                    assert!(offset < rows.len(), "there is no page after the last dialog");
                }
                let expected = &expected[first.min(expected.len())..];
                assert_eq!(found, expected, "pages of {size} from {first} make up the full list");
            }
        }
    }
}

/// Following `next` returns the full list, from any offset and with any limits.
pub async fn pages_by_cursor_concatenate_to_the_full_list(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let rows = populate(store, clock).await;
    for filter in filters(&rows).into_iter().step_by(5) {
        let expected = matching(&rows, &filter);
        for sizes in [[1, 1], [2, 3], [7, 1], [40, 40]] {
            for first in [0, 1, 5] {
                let start = Start::Offset(first as u64);
                let window = Window { start, ..newest(sizes[0]) };
                let mut page = page(store, &filter, window).await;
                let mut met = Met::default();
                met.add(&page);
                let mut turn = 0;
                while let Some(cursor) = page.next {
                    turn += 1;
                    page =
                        crate::scene::page(store, &filter, after(&cursor, sizes[turn % 2])).await;
                    assert!(!page.items.is_empty(), "a page that `next` announces has items");
                    met.add(&page);
                }
                let expected = &expected[first.min(expected.len())..];
                assert_eq!(
                    met.in_order(),
                    expected,
                    "pages of {sizes:?} from {first} make up the full list"
                );
            }
        }
    }
}

/// A cursor continues from any place in the order of its filter, even if no dialog is there.
pub async fn a_cursor_goes_on_from_any_place(store: &dyn DialogStore, clock: &ManualClock) {
    let rows = populate(store, clock).await;
    let dates = [Date::MIN, rows[20].date, rows[20].date.saturating_add(MICROSECOND), Date::MAX];
    for filter in filters(&rows).into_iter().step_by(9) {
        let expected: Vec<_> = matching(&rows, &filter);
        for date in dates {
            for name in ["!", "d-30", "é", "🙂-3", "\u{10ffff}"] {
                let cursor = Cursor::in_filter(&filter, Position { date, dialog_id: id(name) });
                let page = page(store, &filter, after(&cursor, 1000)).await;
                let behind = rows.iter().filter(|row| {
                    (row.date, row.dialog.as_str().as_bytes()) < (date, name.as_bytes())
                });
                let behind: Vec<_> = behind.map(|row| row.dialog.as_str()).collect();
                let mut expected = expected.clone();
                expected.retain(|id| behind.contains(&&**id));
                assert_eq!(ids(&page), expected, "a page contains what comes after the cursor");
            }
        }
    }
}

/// A cursor still works after the dialog at the end of its page is gone.
pub async fn a_cursor_outlives_the_dialog_it_points_at(store: &dyn DialogStore, _: &ManualClock) {
    for dialog in ["a", "b", "c", "d"] {
        insert_consented(store, "anna", dialog).await;
    }
    let all = Filter::default();
    let first = page(store, &all, newest(2)).await;
    assert_eq!(ids(&first), ["d", "c"], "the newest page");
    withdraw(store, "c").await;
    let cursor = first.next.expect("a page follows");
    let second = page(store, &all, after(&cursor, 2)).await;
    assert_eq!(ids(&second), ["b", "a"], "the crawl continues after the place of the dialog");
}

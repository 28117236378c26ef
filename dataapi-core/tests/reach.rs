//! What a filter can find within the bounds of a key.

use dataapi_core::{CustomerId, CustomerPrefix, Date, Filter, Language, LanguageRange, Reach};

fn language(tag: &str) -> Language {
    tag.parse().expect("a tag")
}

fn ranges(texts: &[&str]) -> Vec<LanguageRange> {
    texts.iter().map(|text| text.parse().expect("a range")).collect()
}

fn customer(id: &str) -> CustomerId {
    id.parse().expect("an id")
}

fn reaches() -> Vec<Reach> {
    let bound = |tags: &[&str]| match tags {
        [] => Reach::default(),
        tags => {
            let tags = tags.iter().map(|tag| language(tag)).collect();
            Reach::default().only_languages(tags).expect("a few languages")
        }
    };
    let languages = [&[][..], &["en"], &["en-GB", "fr"], &["DE"], &["x-y"]];
    let unbound = languages.map(bound);
    let shop =
        unbound.clone().map(|reach| reach.only_customers("shop-".parse().expect("a prefix")));
    [&unbound[..], &shop].concat()
}

fn filters() -> Vec<Filter> {
    let asked = [&[][..], &["en"], &["EN-*"], &["en-GB-*"], &["de", "fr-*"], &["it", "es-*"]];
    let filters = asked.map(|texts| {
        Filter::default().languages(ranges(texts)).expect("a few languages and ranges")
    });
    let of = |id: &str| filters.clone().map(|filter| filter.customer(customer(id)));
    [&filters[..], &of("shop-1"), &of("shop"), &of("bank-1")].concat()
}

const CUSTOMERS: [&str; 5] = ["shop-1", "shop-", "shop", "bank-1", "Shop-1"];
const LANGUAGES: [&str; 10] =
    ["en", "en-GB", "en-GB-oed", "en-US", "enm", "de", "fr", "fr-CA", "it", "es-MX"];

#[test]
fn a_reach_covers_what_is_within_all_of_its_bounds() {
    for prefix in [None, Some("shop-"), Some("Shop"), Some("shop-1")] {
        for tags in [&[][..], &["en"], &["DE", "en-GB"]] {
            let mut reach = Reach::default();
            if !tags.is_empty() {
                let tags = tags.iter().map(|tag| language(tag)).collect();
                reach = reach.only_languages(tags).expect("a few languages");
            }
            if let Some(prefix) = prefix {
                reach = reach.only_customers(prefix.parse().expect("a prefix"));
            }
            assert_eq!(reach.is_all(), prefix.is_none() && tags.is_empty());
            assert_eq!(reach.customers().map(CustomerPrefix::as_str), prefix);
            assert!(reach.languages().iter().map(Language::as_str).eq(tags.iter().copied()));
            for (id, tag) in CUSTOMERS.into_iter().flat_map(|id| LANGUAGES.map(|tag| (id, tag))) {
                let is_theirs = prefix.is_none_or(|prefix| id.starts_with(prefix));
                let is_read = tags.is_empty() || tags.iter().any(|it| it.eq_ignore_ascii_case(tag));
                let (whose, of) = (customer(id), language(tag));
                assert_eq!(reach.covers_customer(&whose), is_theirs, "{id}, {reach:?}");
                assert_eq!(reach.covers_language(&of), is_read, "{tag}, {reach:?}");
                assert_eq!(reach.covers(&whose, &of), is_theirs && is_read, "{id}, {tag}");
            }
        }
    }
}

#[test]
fn a_filter_asks_for_all_that_it_was_told_in_any_order() {
    let (anna, tag) = (customer("shop-1"), language("en-GB"));
    let date = |micros| Some(Date::from_micros(micros).expect("a date"));
    let reach = reaches().pop().expect("there are some");
    let tell = |step: usize, filter: Filter| match step {
        0 => filter.customer(anna.clone()),
        1 => filter.language(tag.clone()),
        2 => filter.between(date(5), date(9)).expect("in order"),
        _ => filter.within(reach.clone()),
    };
    for first in 0..4 {
        let mut filter = Filter::default();
        for step in 0..4 {
            filter = tell((first + step) % 4, filter);
        }
        assert_eq!(filter.customer_id(), Some(&anna));
        assert_eq!(filter.language_ranges(), [LanguageRange::Tag(tag.clone())]);
        assert_eq!((filter.from(), filter.to(), filter.reach()), (date(5), date(9), &reach));
        let several = filter.languages(ranges(&["fr", "de-*"])).expect("two");
        assert_eq!(several.language_ranges(), ranges(&["fr", "de-*"]), "sorted");
        assert_eq!((several.customer_id(), several.from()), (Some(&anna), date(5)));
    }
    let all = Filter::default();
    assert_eq!((all.customer_id(), all.from(), all.to()), (None, None, None));
    assert!(all.language_ranges().is_empty() && all.reach().is_all());
}

#[test]
fn a_filter_includes_the_date_that_it_begins_at_and_not_the_one_that_it_ends_at() {
    let date = |micros| Date::from_micros(micros).expect("a date");
    for (from, to, matching) in [
        (None, None, 0..10),
        (Some(3), None, 3..10),
        (None, Some(7), 0..7),
        (Some(3), Some(7), 3..7),
        (Some(5), Some(5), 5..5),
    ] {
        let filter = Filter::default().between(from.map(date), to.map(date)).expect("in order");
        for micros in 0..10 {
            let matches = filter.matches(&customer("a"), &language("en"), date(micros));
            assert_eq!(matches, matching.contains(&micros), "{micros}, {filter:?}");
        }
    }
    assert!(Filter::default().between(Some(date(5)), Some(date(4))).is_err());
}

#[test]
fn a_filter_is_out_of_reach_exactly_if_nothing_can_match() {
    let (mut out, mut within) = (0, 0);
    for reach in reaches() {
        for filter in filters() {
            // All languages that the filters and the reaches name, and some that extend them.
            let tags = LANGUAGES.into_iter().chain(["x-y"]).map(language);
            let ids = CUSTOMERS.map(customer);
            let asked = filter.clone();
            let mut can_match = tags.flat_map(|tag| {
                ids.iter().map(move |id| (id.clone(), tag.clone())).collect::<Vec<_>>()
            });
            let can_match = can_match
                .any(|(id, tag)| asked.matches(&id, &tag, Date::MIN) && reach.covers(&id, &tag));
            let filter = filter.within(reach.clone());
            assert_eq!(filter.is_out_of_reach(), !can_match, "{filter:?}");
            *(if can_match { &mut within } else { &mut out }) += 1;
        }
    }
    assert!(out > 20 && within > 20, "both cases are met often: {out}, {within}");
}

#[test]
fn nothing_beyond_its_reach_matches_a_filter() {
    for reach in reaches() {
        for filter in filters() {
            let bound = filter.clone().within(reach.clone());
            assert_eq!(bound.reach(), &reach);
            for (id, tag) in CUSTOMERS.into_iter().flat_map(|id| LANGUAGES.map(|tag| (id, tag))) {
                let (id, tag) = (customer(id), language(tag));
                let both = filter.matches(&id, &tag, Date::MIN) && reach.covers(&id, &tag);
                assert_eq!(bound.matches(&id, &tag, Date::MIN), both, "{id:?}, {tag:?}, {bound:?}");
            }
        }
    }
}

/// A backend reads an index for each of these languages.
#[test]
fn the_languages_to_search_are_those_that_are_stored_asked_for_and_within_reach() {
    let stored = LANGUAGES.map(language);
    for reach in reaches() {
        for filter in filters() {
            let filter = filter.within(reach.clone());
            let asked = filter.language_ranges();
            let has_range = asked.iter().any(|range| matches!(range, LanguageRange::Prefix(_)));
            assert_eq!(filter.has_language_range(), has_range, "{filter:?}");
            let wanted = filter.wanted_languages(&stored);
            if has_range && reach.customers().is_some() {
                let refusal = wanted.expect_err("it would tell what others have stored");
                assert_eq!(refusal.field, "language");
                continue;
            }
            let wanted = wanted.expect("few languages");
            let Some(wanted) = wanted else {
                assert!(asked.is_empty() && reach.languages().is_empty(), "{filter:?}");
                continue;
            };
            assert!(wanted.is_sorted(), "{wanted:?}");
            if asked.is_empty() {
                assert_eq!(wanted, reach.languages());
                assert!(!wanted.is_empty());
                continue;
            }
            for tag in &stored {
                let is_wanted =
                    asked.iter().any(|range| range.matches(tag)) && reach.covers_language(tag);
                assert_eq!(wanted.contains(tag), is_wanted, "{tag:?}, {filter:?}");
            }
        }
    }
    let twice = Filter::default().languages(ranges(&["en-*", "en", "EN-GB", "it"]));
    let twice = twice.expect("a few").wanted_languages(&stored).expect("few languages");
    let expected = ["en", "en-GB", "en-GB-oed", "en-US", "it"].map(language);
    assert_eq!(twice.as_deref(), Some(&expected[..]), "each once, sorted");
}

#[test]
fn a_filter_names_and_matches_up_to_32_languages() {
    let tags = |count: usize| {
        let tag = |n| format!("en-x-{n:02}").parse::<LanguageRange>().expect("a tag");
        Filter::default().languages((0..count).map(tag).collect())
    };
    let most = tags(32).expect("32 languages");
    assert_eq!(most.language_ranges().len(), 32);
    assert_eq!(tags(33).map_err(|refusal| refusal.field), Err("language"));
    let stored: Vec<_> = (0..33).map(|n| language(&format!("en-x-{n:02}"))).collect();
    let all = Filter::default().languages(ranges(&["en-*"])).expect("one range");
    let wanted = all.wanted_languages(&stored[..32]).expect("32 languages");
    assert_eq!(wanted.as_deref(), Some(&stored[..32]));
    assert_eq!(all.wanted_languages(&stored).map_err(|refusal| refusal.field), Err("language"));
}

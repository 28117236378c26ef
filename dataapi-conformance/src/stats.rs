//! Counts: how many dialogs are in each state, after every kind of change.

use std::collections::BTreeMap;

use dataapi_core::{DialogStore, Filter, ImportedDialog, Language, Stats};

use crate::ManualClock;
use crate::scene::{
    Ending, customer, grant, id, insert, insert_consented, language, largest, page, stats,
    withdraw, worded,
};

fn by_language<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<Language, u64> {
    counts.map(|(tag, count)| (language(tag), count)).into()
}

/// The counts of an empty store are zero.
pub async fn an_empty_store_counts_nothing(store: &dyn DialogStore, _: &ManualClock) {
    assert_eq!(stats(store).await, Stats::default(), "an empty store counts nothing");
    let page = page(store, &Filter::default(), largest()).await;
    assert!(page.items.is_empty(), "an empty store has an empty page");
    assert_eq!((page.total, page.next), (Some(0), None), "an empty store has one page of nothing");
}

/// Each dialog counts in its own state.
pub async fn each_dialog_counts_in_its_state(store: &dyn DialogStore, clock: &ManualClock) {
    let mut expected = Stats::default();
    for ending in Ending::ALL {
        ending.bring(store, clock, "gone", &format!("{ending:?}")).await;
        match ending {
            Ending::RefusedAtOnce | Ending::Withdrawn => expected.withdrawn += 1,
            _ => expected.erased += 1,
        }
        assert_eq!(stats(store).await, expected, "after {ending:?}");
    }
    insert(store, "anna", "d-1").await;
    insert(store, "anna", "d-2").await;
    expected.pending = 2;
    assert_eq!(stats(store).await, expected, "after two inserts");

    grant(store, "d-1").await;
    expected.pending = 1;
    expected.consented = 1;
    expected.consented_by_language = by_language([("en", 1)]);
    assert_eq!(stats(store).await, expected, "after a grant");

    let import = |name: &str, consented| ImportedDialog {
        dialog: worded("anna", name, "de", "Hallo"),
        date: None,
        consented,
    };
    let batch = vec![import("d-3", true), import("d-4", false), import("d-1", true)];
    store.import(batch).await.expect("an import is answered");
    expected.pending = 2;
    expected.consented = 2;
    expected.consented_by_language = by_language([("de", 1), ("en", 1)]);
    assert_eq!(stats(store).await, expected, "after an import");

    withdraw(store, "d-1").await;
    expected.withdrawn += 1;
    expected.consented = 1;
    expected.consented_by_language = by_language([("de", 1)]);
    assert_eq!(stats(store).await, expected, "languages without any are left out");

    store.erase_dialog(&customer("anna"), &id("d-2")).await.expect("a held dialog can be erased");
    expected.erased += 1;
    expected.pending = 1;
    assert_eq!(stats(store).await, expected, "after an erasure");

    store.erase_customer(&customer("anna")).await.expect("a customer can be erased");
    expected.erased += 2;
    expected.pending = 0;
    expected.consented = 0;
    expected.consented_by_language.clear();
    assert_eq!(stats(store).await, expected, "after erasing the customer");
}

/// Languages that differ only in case count as one.
pub async fn languages_are_counted_without_regard_to_case(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    for (number, tag) in ["pt-BR", "PT-br", "pt-br", "pt", "EN", "en"].into_iter().enumerate() {
        let name = format!("d-{number}");
        store.insert(worded("anna", &name, tag, "Hello")).await.expect("a new dialog is stored");
        grant(store, &name).await;
    }
    let counts = stats(store).await.consented_by_language;
    let expected = by_language([("pt-br", 3), ("pt", 1), ("en", 2)]);
    assert_eq!(counts, expected, "languages are counted without regard to case");
    withdraw(store, "d-0").await;
    let counts = stats(store).await.consented_by_language;
    let expected = by_language([("pt-br", 2), ("pt", 1), ("en", 2)]);
    assert_eq!(counts, expected, "a withdrawn dialog does not count, however its tag was written");
}

/// The counts and the totals of queries agree.
pub async fn the_counts_agree_with_the_totals(store: &dyn DialogStore, _: &ManualClock) {
    for number in 0..30_usize {
        let tag = ["en", "de", "EN", "fr"][number % 4];
        let name = format!("d-{number}");
        let sent = worded(["anna", "ben"][number % 2], &name, tag, "Hello");
        store.insert(sent).await.expect("a new dialog is stored");
        if number % 3 > 0 {
            grant(store, &name).await;
        }
        if number % 5 == 4 {
            withdraw(store, &name).await;
        }
    }
    store.erase_customer(&customer("ben")).await.expect("a customer can be erased");
    insert_consented(store, "carl", "one more").await;
    let counts = stats(store).await;
    let total = page(store, &Filter::default(), largest()).await.total;
    assert_eq!(
        total,
        Some(counts.consented),
        "the total of all pages is the number of consented dialogs"
    );
    for tag in ["en", "de", "fr"] {
        let filter = Filter::default().language(language(tag));
        let total = page(store, &filter, largest()).await.total.filter(|total| *total > 0);
        let counted = counts.consented_by_language.get(&language(tag)).copied();
        assert_eq!(counted, total, "the count of {tag} is its total");
    }
}

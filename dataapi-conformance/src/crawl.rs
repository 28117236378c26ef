//! Crawls: following `next` to the end while dialogs come and go.

use dataapi_core::{Clock, DialogStore, Filter, ImportedDialog};

use crate::ManualClock;
use crate::scene::{
    MICROSECOND, Met, SECOND, after, customer, dialog, grant, id, insert, insert_consented, newest,
    page, subject_page, withdraw,
};

/// A crawl returns every dialog that was consented at its start and stayed so exactly once, and no dialog twice.
/// Between its pages every kind of change happens.
pub async fn a_crawl_meets_each_dialog_that_stays_exactly_once(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for number in 0..40 {
        insert_consented(store, "anna", &format!("stays-{number:02}")).await;
        insert_consented(store, "ben", &format!("goes-{number:02}")).await;
        insert(store, "anna", &format!("later-{number:02}")).await;
        if number % 3 == 0 {
            clock.advance(MICROSECOND);
        }
    }
    let all = Filter::default();
    let mut page = page(store, &all, newest(3)).await;
    let mut met = Met::default();
    met.add(&page);
    let mut turn = 0;
    while let Some(cursor) = page.next {
        insert_consented(store, "carl", &format!("new-{turn:02}")).await;
        if turn < 40 {
            withdraw(store, &format!("goes-{turn:02}")).await;
            grant(store, &format!("later-{:02}", 39 - turn)).await;
            let old = dialog("carl", &format!("old-{turn:02}"));
            let date = Some(clock.now().saturating_sub(SECOND * turn));
            let batch = vec![ImportedDialog { dialog: old, date, consented: true }];
            store.import(batch).await.expect("an import is answered");
        }
        if turn == 10 {
            store.erase_customer(&customer("ben")).await.expect("a customer can be erased");
        }
        page = crate::scene::page(store, &all, after(&cursor, 3)).await;
        met.add(&page);
        turn += 1;
    }
    let expected: Vec<_> = (0..40).map(|number| format!("stays-{number:02}")).collect();
    assert_eq!(met.starting("stays"), expected, "each dialog that stayed is found once");
}

/// A crawl of a customer's data returns every dialog that stays held exactly once, with changes between its pages.
pub async fn a_crawl_of_a_customer_meets_all_that_stays_held_exactly_once(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for number in 0..20 {
        insert(store, "anna", &format!("stays-{number:02}")).await;
        insert(store, "anna", &format!("goes-{number:02}")).await;
        insert(store, "ben", &format!("other-{number:02}")).await;
        if number % 3 == 0 {
            clock.advance(MICROSECOND);
        }
    }
    let mut page = subject_page(store, "anna", newest(2)).await;
    let mut met = Met::default();
    met.add(&page);
    let mut turn = 0;
    while let Some(cursor) = page.next {
        insert(store, "anna", &format!("new-{turn:02}")).await;
        if turn < 20 {
            let goes = id(&format!("goes-{turn:02}"));
            store.erase_dialog(&customer("anna"), &goes).await.expect("it is held until now");
            // Consent does not move a dialog in the order.
            grant(store, &format!("stays-{:02}", 19 - turn)).await;
        }
        page = subject_page(store, "anna", after(&cursor, 2)).await;
        met.add(&page);
        turn += 1;
    }
    let expected: Vec<_> = (0..20).map(|number| format!("stays-{number:02}")).collect();
    assert_eq!(met.starting("stays"), expected, "each dialog that stayed is found once");
    assert!(met.starting("other").is_empty(), "another customer's dialog is never found");
}

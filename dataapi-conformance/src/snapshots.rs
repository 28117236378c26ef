//! What a reader sees of a call while it runs: all of it or nothing. Only for stores whose commits are
//! [seen whole](crate::Harness::commits_are_seen_whole).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dataapi_core::{DialogStore, Filter, ImportedDialog, Start, Window};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    MICROSECOND, customer, dialog, drop_after, held, insert_consented, language, largest, limit,
    page, stats, subject_page, withdraw, worded,
};

/// The items and the total of a page come from the same snapshot.
pub async fn items_and_total_of_a_page_are_of_one_moment(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let start = insert_consented(store, "anna", "always").await;
    let received = Filter::default().between(Some(start), None).expect("an open range is in order");
    let filters = [
        Filter::default(),
        Filter::default().customer(customer("anna")),
        Filter::default().language(language("EN")),
        received.clone(),
        received.customer(customer("anna")).language(language("en")),
    ];
    let work = Arc::new(());
    let writers = (0..8).map(|task| {
        let work = work.clone();
        let write = async move {
            for number in 0..6 {
                let name = format!("d-{task}-{number}");
                insert_consented(store, "anna", &name).await;
                clock.advance(MICROSECOND);
                yield_now().await;
                if number % 2 == 0 {
                    withdraw(store, &name).await;
                }
            }
            drop(work);
        };
        write.boxed()
    });
    let work = &work;
    let readers = filters.iter().enumerate().map(|(number, filter)| {
        let read = async move {
            loop {
                let idle = Arc::strong_count(work) == 1;
                let page = page(store, filter, largest()).await;
                let items = page.items.len() as u64;
                assert_eq!(
                    page.total,
                    Some(items),
                    "the total comes from the same snapshot as the items"
                );
                let start = Start::Offset(number as u64);
                let window = Window { limit: limit(5), start, total: true };
                let page = subject_page(store, "anna", window).await;
                let seen = (number + page.items.len()) as u64;
                assert_eq!(
                    page.next.is_some(),
                    page.total > Some(seen),
                    "there is a next page exactly if the total is larger"
                );
                if idle {
                    break;
                }
                yield_now().await;
            }
        };
        read.boxed()
    });
    let tasks: Vec<_> = writers.chain(readers).collect();
    at_once(tasks);
}

/// An import and the erasure of a customer are each one commit: nobody sees a part of them.
pub async fn an_import_and_an_erasure_appear_whole(store: &dyn DialogStore, _: &ManualClock) {
    const EACH: u64 = 12;
    const ROUNDS: usize = 8;
    // The number of the writer's current customer.
    let current = &AtomicUsize::new(0);
    let work = Arc::new(());
    let writing = work.clone();
    let writer = async move {
        for round in 0..ROUNDS {
            let whose = format!("customer-{round}");
            let batch = (0..EACH).map(|number| ImportedDialog {
                dialog: worded(&whose, &format!("d-{round}-{number}"), "en", "Hello"),
                date: None,
                consented: true,
            });
            store.import(batch.collect()).await.expect("an import is answered");
            yield_now().await;
            let erased = store.erase_customer(&customer(&whose)).await;
            assert_eq!(erased.expect("a customer can be erased"), EACH, "all that was held");
            current.store(round + 1, Ordering::SeqCst);
            yield_now().await;
        }
        drop(writing);
    };
    let work = &work;
    let readers = (0..6).map(|task| {
        let read = async move {
            loop {
                let idle = Arc::strong_count(work) == 1;
                let round = current.load(Ordering::SeqCst);
                let whose = format!("customer-{round}");
                let seen = if task % 2 == 0 {
                    let filter = Filter::default().customer(customer(&whose));
                    page(store, &filter, largest()).await.items.len()
                } else {
                    held(store, &whose).await.len()
                };
                assert!(
                    seen == 0 || seen as u64 == EACH,
                    "one commit is visible whole or not at all, not {seen} of {EACH}"
                );
                let counts = stats(store).await;
                let (left, erased) = (counts.consented, counts.erased);
                assert!(left == 0 || left == EACH, "one commit counts whole, not {left} of {EACH}");
                assert_eq!(erased % EACH, 0, "one commit counts whole");
                assert_eq!(counts.consented_by_language.values().sum::<u64>(), left, "by language");
                if idle {
                    break;
                }
                yield_now().await;
            }
        };
        read.boxed()
    });
    at_once(std::iter::once(writer.boxed()).chain(readers));
    assert_eq!(stats(store).await.erased, EACH * ROUNDS as u64, "in the end all is erased");
}

/// Of an import or an erasure whose future was dropped before it was ready, nobody sees a part.
pub async fn a_dropped_call_appears_whole_or_not_at_all(store: &dyn DialogStore, _: &ManualClock) {
    const EACH: u64 = 4;
    for turns in 0..24 {
        let whose = format!("customer-{turns}");
        let batch = (0..EACH).map(|number| {
            let dialog = dialog(&whose, &format!("d-{turns}-{number}"));
            ImportedDialog { dialog, date: None, consented: true }
        });
        let batch: Vec<_> = batch.collect();
        let all_or_none = |total| total == Some(0) || total == Some(EACH);
        drop_after(turns, store.import(batch.clone())).await;
        let total = subject_page(store, &whose, largest()).await.total;
        assert!(all_or_none(total), "a dropped import is whole or not at all, not {total:?}");
        store.import(batch).await.expect("an import is answered");

        drop_after(turns, store.erase_customer(&customer(&whose))).await;
        let total = subject_page(store, &whose, largest()).await.total;
        assert!(all_or_none(total), "a dropped erasure is whole or not at all, not {total:?}");
    }
}

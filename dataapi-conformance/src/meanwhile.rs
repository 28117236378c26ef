//! What readers see while writers are at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dataapi_core::{Date, DialogStore, Filter, ImportedDialog, Start, StoreError, Window};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    MICROSECOND, Met, SECOND, after, assert_refused, customer, grant, held, id, ids, insert,
    insert_consented, language, largest, limit, listed, newest, page, read, stats, subject_page,
    withdraw, worded,
};

/// How many calls run at once.
const CROWD: usize = 32;

/// A crawl returns every dialog that was consented at its start and stayed so exactly once, and no dialog twice, while
/// writers are at work.
pub async fn a_crawl_under_changes_meets_each_dialog_that_stays_once(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let mut stays = Vec::new();
    for number in 0..30 {
        let name = format!("stays-{number:02}");
        insert_consented(store, "anna", &name).await;
        stays.push(name);
        insert_consented(store, "ben", &format!("goes-{number:02}")).await;
        insert(store, "ben", &format!("later-{number:02}")).await;
        if number % 4 == 0 {
            clock.advance(MICROSECOND);
        }
    }
    let stays = &stays;
    // Each writer holds this until it is done or fails. Then the readers can stop too.
    let work = Arc::new(());
    let writers = (0..10).map(|task| {
        let work = work.clone();
        let write = async move {
            for round in 0..3 {
                let number = task * 3 + round;
                withdraw(store, &format!("goes-{number:02}")).await;
                yield_now().await;
                grant(store, &format!("later-{number:02}")).await;
                let new = format!("later-too-{number:02}");
                insert_consented(store, "carl", &new).await;
                clock.advance(MICROSECOND);
                yield_now().await;
                withdraw(store, &new).await;
                let whose = format!("dora-{number}");
                insert_consented(store, &whose, &format!("brief-{number:02}")).await;
                store.erase_customer(&customer(&whose)).await.expect("a customer can be erased");
                yield_now().await;
            }
            drop(work);
        };
        write.boxed()
    });
    let work = &work;
    let crawlers = (1..=6).map(|size| {
        let crawl = async move {
            loop {
                // Read before the crawl, so that one more crawl follows the last change.
                let idle = Arc::strong_count(work) == 1;
                let all = Filter::default();
                let mut page = page(store, &all, newest(size)).await;
                let mut met = Met::default();
                met.add(&page);
                while let Some(cursor) = page.next {
                    yield_now().await;
                    page = crate::scene::page(store, &all, after(&cursor, size)).await;
                    met.add(&page);
                }
                assert_eq!(
                    met.starting("stays"),
                    *stays,
                    "every crawl finds all dialogs that stay"
                );
                if idle {
                    break;
                }
                yield_now().await;
            }
        };
        crawl.boxed()
    });
    // Collected first: otherwise a crawler could start before any writer holds `work`.
    let tasks: Vec<_> = writers.chain(crawlers).collect();
    at_once(tasks);
    assert_eq!(
        listed(store, &Filter::default()).await.len(),
        60,
        "the dialogs that stayed and those that came later"
    );
}

/// After a withdrawal or an erasure has returned, no call that starts later returns the text, on any thread and on any
/// page.
pub async fn no_read_that_starts_after_a_withdrawal_returns_the_text(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    const DIALOGS: usize = 40;
    for number in 0..DIALOGS {
        insert_consented(store, "anna", &format!("d-{number:02}")).await;
    }
    // Dialogs are erased in the order of their numbers; all below this one are gone.
    let gone = &AtomicUsize::new(0);
    let work = Arc::new(());
    let writing = work.clone();
    let writer = async move {
        for number in 0..DIALOGS {
            let name = format!("d-{number:02}");
            if number % 2 == 0 {
                withdraw(store, &name).await;
            } else {
                let erased = store.erase_dialog(&customer("anna"), &id(&name)).await;
                erased.expect("a held dialog can be erased");
            }
            gone.store(number + 1, Ordering::SeqCst);
            yield_now().await;
        }
        drop(writing);
    };
    let work = &work;
    let readers = (0..8).map(|task| {
        let read = async move {
            loop {
                let idle = Arc::strong_count(work) == 1;
                let known = gone.load(Ordering::SeqCst);
                let seen = if task % 2 == 0 {
                    listed(store, &Filter::default()).await
                } else {
                    ids(&subject_page(store, "anna", largest()).await)
                };
                let too_late = seen.iter().any(|name| {
                    name.strip_prefix("d-")
                        .and_then(|it| it.parse().ok())
                        .is_some_and(|it: usize| it < known)
                });
                assert!(!too_late, "a read returns nothing that was erased before it started");
                if let Some(last) = known.checked_sub(1) {
                    assert_refused!(
                        read(store, "anna", &format!("d-{last:02}")).await,
                        StoreError::NotFound,
                        "a dialog that was erased before a read started is not found"
                    );
                }
                if idle {
                    break;
                }
                yield_now().await;
            }
        };
        read.boxed()
    });
    at_once(std::iter::once(writer.boxed()).chain(readers));
    assert!(held(store, "anna").await.is_empty(), "in the end nothing is left");
}

/// A call that starts after another one has returned has no earlier date, even on another thread and even if the clock
/// jumps.
pub async fn dates_of_concurrent_calls_never_go_backwards(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let latest = &AtomicI64::new(Date::MIN.as_micros());
    at_once((0..CROWD).map(|task| async move {
        for number in 0..8 {
            let name = format!("d-{task}-{number}");
            if (task + number) % 3 == 0 {
                clock.jump_back(SECOND);
            } else {
                clock.advance(SECOND);
            }
            let known = latest.load(Ordering::SeqCst);
            let date = insert(store, "anna", &name).await;
            assert!(date.as_micros() >= known, "a later insert has no earlier date");
            latest.fetch_max(date.as_micros(), Ordering::SeqCst);
            let known = latest.load(Ordering::SeqCst);
            let date = grant(store, &name).await.event.date;
            assert!(date.as_micros() >= known, "a later decision has no earlier date");
            latest.fetch_max(date.as_micros(), Ordering::SeqCst);
            yield_now().await;
        }
    }));
    let date = insert(store, "anna", "last").await;
    assert!(date.as_micros() >= latest.load(Ordering::SeqCst), "the last insert has the last date");
}

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

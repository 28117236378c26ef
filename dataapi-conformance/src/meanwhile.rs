//! What readers see while writers are at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dataapi_core::{Date, DialogStore, Filter, ImportedDialog, StoreError};
use futures_util::FutureExt;
use tokio::task::yield_now;

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    MICROSECOND, Met, SECOND, after, assert_refused, customer, grant, held, id, ids, insert,
    insert_consented, largest, listed, newest, page, read, stats, subject_page, withdraw, worded,
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

/// What a call has changed is seen whole, by page, by customer and by id, by everyone who looks after the call has
/// returned, while other calls run.
pub async fn what_was_acknowledged_is_seen_whole(store: &dyn DialogStore, _: &ManualClock) {
    const EACH: usize = 12;
    at_once((0..8).map(|task| async move {
        for round in 0..4 {
            let whose = format!("customer-{task}-{round}");
            let filter = Filter::default().customer(customer(&whose));
            let names: Vec<_> =
                (0..EACH).map(|number| format!("d-{task}-{round}-{number}")).collect();
            let batch = names.iter().map(|name| ImportedDialog {
                dialog: worded(&whose, name, "en", "Hello"),
                date: None,
                consented: true,
            });
            let answers = store.import(batch.collect()).await.expect("an import is answered");
            assert!(answers.iter().all(Result::is_ok), "all ids are new");
            let seen = page(store, &filter, largest()).await;
            assert_eq!((seen.items.len(), seen.total), (EACH, Some(EACH as u64)), "all of it");
            assert_eq!(held(store, &whose).await.len(), EACH, "all of it");
            for name in &names {
                assert!(read(store, &whose, name).await.is_ok(), "all of it");
            }
            yield_now().await;
            let erased = store.erase_customer(&customer(&whose)).await;
            assert_eq!(erased.expect("a customer can be erased"), EACH as u64, "all that was held");
            let seen = page(store, &filter, largest()).await;
            assert_eq!((seen.items.len(), seen.total), (0, Some(0)), "nothing is left");
            assert!(held(store, &whose).await.is_empty(), "nothing is left");
            for name in &names {
                assert_refused!(
                    read(store, &whose, name).await,
                    StoreError::NotFound,
                    "nothing is left"
                );
            }
        }
    }));
    let counts = stats(store).await;
    assert_eq!(
        (counts.consented, counts.erased),
        (0, 8 * 4 * EACH as u64),
        "in the end all is erased"
    );
}

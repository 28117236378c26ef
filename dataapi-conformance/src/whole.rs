//! Atomic calls: a refused call changes nothing, and a dropped call happens whole or not at all.

use dataapi_core::{
    ConsentState, ConsentStatus, Date, Decision, Dialog, DialogStore, Evidence, Filter, HeldDialog,
    ImportedDialog, Stats, StoreError,
};

use crate::ManualClock;
use crate::scene::{
    Ending, SECOND, assert_refused, customer, decide, dialog, drop_after, grant, held, id, insert,
    insert_consented, language, largest, page, read, stats, status, subject_page, withdraw, worded,
};

/// Everything that a store returns about a few known customers and dialogs.
#[derive(Debug, PartialEq)]
struct Snapshot {
    consented: Vec<Dialog>,
    held: Vec<HeldDialog>,
    consents: Vec<ConsentStatus>,
    stats: Stats,
}

async fn snapshot(store: &dyn DialogStore) -> Snapshot {
    let mut held = self::held(store, "anna").await;
    held.extend(self::held(store, "ben").await);
    let mut consents = Vec::new();
    for name in ["pending", "consented", "withdrawn", "erased", "expired"] {
        consents.push(status(store, name).await);
    }
    let consented = page(store, &Filter::default(), largest()).await.items;
    Snapshot { consented, held, consents, stats: stats(store).await }
}

/// A call that returns `Err` has changed nothing.
pub async fn a_refused_call_changes_nothing(store: &dyn DialogStore, clock: &ManualClock) {
    Ending::Withdrawn.bring(store, clock, "anna", "withdrawn").await;
    Ending::ErasedPending.bring(store, clock, "anna", "erased").await;
    Ending::Expired.bring(store, clock, "anna", "expired").await;
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    let before = snapshot(store).await;
    clock.advance(SECOND);

    for name in ["pending", "consented", "withdrawn", "erased", "expired"] {
        let other = worded("ben", name, "de", "Wo ist mein Paket?");
        assert!(store.insert(other.clone()).await.is_err(), "the id is taken or gone");
        for date in [None, Some(Date::MIN), Some(Date::MAX)] {
            let batch = vec![ImportedDialog { dialog: other.clone(), date, consented: true }];
            let answers = store.import(batch).await.expect("an import is answered");
            assert!(answers[0].is_err(), "the id is taken or gone");
        }
        let erased = store.erase_dialog(&customer("ben"), &id(name)).await;
        assert_refused!(erased, StoreError::NotFound, "it belongs to another customer");
    }
    for name in ["withdrawn", "erased", "expired"] {
        let late = decide(store, name, Decision::Granted).await;
        assert_refused!(late, StoreError::Conflict, "a late grant is a conflict");
        let erased = store.erase_dialog(&customer("anna"), &id(name)).await;
        assert_refused!(erased, StoreError::NotFound, "it is gone already");
    }
    for decision in [Decision::Granted, Decision::Withdrawn] {
        let unknown = decide(store, "unknown", decision).await;
        assert_refused!(unknown, StoreError::NotFound, "it was never stored");
    }
    assert_eq!(snapshot(store).await, before, "refused calls change nothing");
}

/// Reading changes nothing.
pub async fn reading_changes_nothing(store: &dyn DialogStore, clock: &ManualClock) {
    Ending::Withdrawn.bring(store, clock, "anna", "withdrawn").await;
    Ending::ErasedPending.bring(store, clock, "anna", "erased").await;
    Ending::Expired.bring(store, clock, "anna", "expired").await;
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    let before = snapshot(store).await;
    clock.advance(SECOND);
    for name in ["pending", "consented", "withdrawn", "erased", "expired", "unknown"] {
        let _ = read(store, "anna", name).await;
        let _ = read(store, "ben", name).await;
        let _ = store.consent(&id(name)).await;
    }
    store.ready().await.expect("a store under test is ready");
    let _ = store.activity();
    assert_eq!(snapshot(store).await, before, "reading changes nothing");
    assert_refused!(
        store.consent(&id("unknown")).await,
        StoreError::NotFound,
        "asking for an id does not use it"
    );
}

/// A call whose future was dropped before it was ready happened either whole or not at all.
pub async fn a_dropped_call_happens_whole_or_not_at_all(store: &dyn DialogStore, _: &ManualClock) {
    const EACH: usize = 4;
    for turns in 0..24 {
        let whose = format!("customer-{turns}");
        let names: Vec<_> = (0..EACH).map(|number| format!("d-{turns}-{number}")).collect();
        let batch = names.iter().map(|name| {
            let dialog = dialog(&whose, name);
            ImportedDialog { dialog, date: None, consented: true }
        });
        let batch: Vec<_> = batch.collect();
        drop_after(turns, store.import(batch.clone())).await;
        // Whatever the first try did, the second one completes it.
        let answers = store.import(batch).await.expect("an import is answered");
        let done = answers.iter().all(|answer| {
            matches!(answer, Ok(()) | Err(StoreError::Exists { same_content: true }))
        });
        assert!(done, "after a dropped import a second one finishes it; got {answers:?}");
        let outcomes = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(outcomes == 0 || outcomes == EACH, "the first try stored all or nothing");
        let total = subject_page(store, &whose, largest()).await.total;
        assert_eq!(total, Some(EACH as u64), "after the second one everything is there");

        drop_after(turns, decide(store, &names[0], Decision::Withdrawn)).await;
        let left = match status(store, &names[0]).await.state {
            ConsentState::Withdrawn => false,
            _ => read(store, &whose, &names[0]).await.is_ok(),
        };
        if !left {
            assert_refused!(
                read(store, &whose, &names[0]).await,
                StoreError::NotFound,
                "a dropped withdrawal that happened is as final as any"
            );
        }
        withdraw(store, &names[0]).await;

        drop_after(turns, store.erase_customer(&customer(&whose))).await;
        let erased = store.erase_customer(&customer(&whose)).await;
        let erased = erased.expect("a customer can be erased");
        assert!(
            erased == 0 || erased == EACH as u64 - 1,
            "a dropped erasure has erased everything or nothing; the second one erased {erased}"
        );
        let total = subject_page(store, &whose, largest()).await.total;
        assert_eq!(total, Some(0), "after the second one nothing is left");

        let single = format!("single-{turns}");
        drop_after(turns, store.insert(dialog("single", &single))).await;
        match store.insert(dialog("single", &single)).await {
            Ok(_) | Err(StoreError::Exists { same_content: true }) => {}
            other => panic!("a dropped insert is whole or not at all; a retry got {other:?}"),
        }
        let evidence = Evidence::default();
        drop_after(turns, store.decide(id(&single), Decision::Granted, evidence)).await;
        let first = grant(store, &single).await;
        assert_eq!(status(store, &single).await.date, first.event.date, "there is one receipt");
    }
    let counts = stats(store).await;
    let expected = Stats {
        consented: 24,
        withdrawn: 24,
        erased: 24 * (EACH as u64 - 1),
        consented_by_language: [(language("en"), 24)].into(),
        ..Stats::default()
    };
    assert_eq!(counts, expected, "after all retries everything has happened exactly once");
}

/// `ready` succeeds if the store serves reads and writes.
pub async fn a_store_that_serves_is_ready(store: &dyn DialogStore, _: &ManualClock) {
    store.ready().await.expect("an empty store is ready");
    insert_consented(store, "anna", "d-1").await;
    store.ready().await.expect("a store in use is ready");
    assert_eq!(stats(store).await.consented, 1, "asking for readiness stores nothing");
}

/// When every call has returned, no write is waiting.
pub async fn an_idle_store_has_no_write_waiting(store: &dyn DialogStore, _: &ManualClock) {
    for number in 0..10 {
        insert(store, "anna", &format!("d-{number}")).await;
    }
    let activity = store.activity();
    assert_eq!(activity.queued, 0, "no write waits when every call has returned");
}

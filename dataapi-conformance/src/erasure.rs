//! Erasure: of a dialog, of a customer, and by retention.

use dataapi_core::{
    Clock, ConsentState, Date, DialogStore, EventKind, Filter, ImportedDialog, Purge, StoreError,
};

use crate::ManualClock;
use crate::ledger::events;
use crate::scene::{
    Ending, MICROSECOND, SECOND, assert_refused, customer, dialog, grant, held, id, insert,
    insert_consented, listed, read, stats, status, withdraw,
};

async fn erase(store: &dyn DialogStore, whose: &str, dialog: &str) -> Result<(), StoreError> {
    store.erase_dialog(&customer(whose), &id(dialog)).await
}

async fn erase_all(store: &dyn DialogStore, whose: &str) -> u64 {
    store.erase_customer(&customer(whose)).await.expect("a customer can be erased")
}

async fn purge(store: &dyn DialogStore, received_before: Date, at_most: u32) -> u64 {
    store.purge(Purge::Pending, received_before, at_most).await.expect("a purge succeeds")
}

/// Erasing a dialog of a customer, pending or consented, leaves only a tombstone.
pub async fn an_erased_dialog_leaves_only_a_tombstone(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    insert_consented(store, "anna", "another").await;
    for dialog in ["pending", "consented"] {
        clock.advance(SECOND);
        erase(store, "anna", dialog).await.expect("a held dialog can be erased");
        assert_refused!(
            read(store, "anna", dialog).await,
            StoreError::NotFound,
            "an erased dialog is not found"
        );
        let now = status(store, dialog).await;
        assert_eq!((now.state, now.date), (ConsentState::Erased, clock.now()), "the tombstone");
    }
    assert_eq!(held(store, "anna").await.len(), 1, "the customer's other dialogs stay");
}

/// Erasing a dialog that is absent, already erased, or another customer's is refused with `NotFound`.
pub async fn only_what_is_held_on_the_customer_can_be_erased(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    for dialog in ["pending", "consented"] {
        for whose in ["ben", "Anna"] {
            assert_refused!(
                erase(store, whose, dialog).await,
                StoreError::NotFound,
                "another customer's {dialog} dialog is not found"
            );
        }
    }
    assert_eq!(held(store, "anna").await.len(), 2, "a refused erasure erases nothing");

    insert(store, "anna", "withdrawn").await;
    withdraw(store, "withdrawn").await;
    let withdrawn = status(store, "withdrawn").await;
    erase(store, "anna", "pending").await.expect("a held dialog can be erased");
    let erased = status(store, "pending").await;
    clock.advance(SECOND);
    for dialog in ["absent", "Consented", "withdrawn", "pending"] {
        assert_refused!(
            erase(store, "anna", dialog).await,
            StoreError::NotFound,
            "an absent or erased dialog is not found"
        );
    }
    assert_eq!(status(store, "withdrawn").await, withdrawn, "the first tombstone stays");
    assert_eq!(status(store, "pending").await, erased, "the first tombstone stays");
}

/// Erasing a customer erases every dialog held on that customer, leaves tombstones, and returns how many.
pub async fn erasing_a_customer_erases_and_counts_all_that_is_held(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for dialog in ["p-1", "p-2", "w-1", "e-1"] {
        insert(store, "anna", dialog).await;
    }
    for dialog in ["c-1", "c-2", "c-3"] {
        insert_consented(store, "anna", dialog).await;
    }
    withdraw(store, "w-1").await;
    erase(store, "anna", "e-1").await.expect("a held dialog can be erased");
    insert(store, "Anna", "other case").await;
    insert_consented(store, "ben", "b-1").await;
    clock.advance(SECOND);

    assert_eq!(erase_all(store, "anna").await, 5, "everything held counts, erased dialogs do not");
    assert!(held(store, "anna").await.is_empty(), "nothing is held now");
    for dialog in ["p-1", "p-2", "c-1", "c-2", "c-3"] {
        let now = status(store, dialog).await;
        assert_eq!((now.state, now.date), (ConsentState::Erased, clock.now()), "the tombstone");
    }
    let withdrawn = status(store, "w-1").await.state;
    assert_eq!(withdrawn, ConsentState::Withdrawn, "the first tombstone stays");
    assert_eq!(held(store, "Anna").await.len(), 1, "other customers keep their dialogs");
    assert_eq!(
        listed(store, &Filter::default()).await,
        ["b-1"],
        "other customers keep their dialogs"
    );
}

/// Erasing a customer on whom nothing is held succeeds and returns 0.
pub async fn erasing_a_customer_with_nothing_is_fine(store: &dyn DialogStore, _: &ManualClock) {
    assert_eq!(erase_all(store, "anna").await, 0, "nothing is held on an unknown customer");
    insert(store, "anna", "d-1").await;
    assert_eq!(erase_all(store, "anna").await, 1, "the dialog is erased");
    assert_eq!(erase_all(store, "anna").await, 0, "erasing again erases nothing more");
    insert(store, "anna", "d-2").await;
    assert_eq!(
        erase_all(store, "anna").await,
        1,
        "an erased customer can come back and be erased again"
    );
}

/// A purge erases pending dialogs that were received before the date, and none that were received at it.
pub async fn a_purge_takes_what_was_received_before_the_date(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "before").await;
    clock.advance(MICROSECOND);
    let date = insert(store, "anna", "at").await;
    clock.advance(MICROSECOND);
    insert(store, "ben", "after").await;
    clock.advance(SECOND);

    assert_eq!(purge(store, date, u32::MAX).await, 1, "only what came before the date expires");
    let now = status(store, "before").await;
    assert_eq!(
        (now.state, now.date),
        (ConsentState::Erased, clock.now()),
        "an expired dialog is erased at the time of the purge"
    );
    assert_eq!(status(store, "at").await.state, ConsentState::Pending, "the date is exclusive");
    assert_eq!(status(store, "after").await.state, ConsentState::Pending, "later ones stay");
    assert_eq!(
        purge(store, Date::MIN, u32::MAX).await,
        0,
        "nothing was received before the earliest date"
    );
    assert_eq!(purge(store, Date::MAX, u32::MAX).await, 2, "every pending dialog can be purged");
    assert_eq!(purge(store, Date::MAX, u32::MAX).await, 0, "a purged dialog is purged once");
}

/// A purge erases up to `at_most` dialogs, the oldest first, and returns how many.
pub async fn a_purge_takes_the_oldest_first_and_no_more_than_asked(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    // Neither the order of ids nor the order of inserts is the order of a purge.
    for (name, age) in [("c", 5), ("e", 4), ("a", 3), ("d", 2), ("b", 1)] {
        let date = Some(clock.now().saturating_sub(SECOND * age));
        let dialog = dialog("anna", name);
        let batch = vec![ImportedDialog { dialog, date, consented: false }];
        let answers = store.import(batch).await.expect("an import is answered");
        assert!(matches!(answers[..], [Ok(())]), "a new dialog is imported");
    }
    let mut left = vec!["b", "d", "a", "e", "c"];
    for at_most in [0, 2, 1, 0, 9] {
        let expected = left.len().min(at_most as usize);
        let purged = purge(store, clock.now(), at_most).await;
        assert_eq!(purged, expected as u64, "a purge takes no more than it was asked for");
        left.truncate(left.len() - expected);
        let held = held(store, "anna").await;
        let held: Vec<_> = held.iter().map(|dialog| dialog.dialog_id().as_str()).collect();
        assert_eq!(held, left, "a purge takes the oldest first");
    }
}

/// A purge of pending dialogs leaves a dialog alone that was decided on first.
pub async fn a_purge_leaves_decided_dialogs_alone(store: &dyn DialogStore, clock: &ManualClock) {
    insert_consented(store, "anna", "consented").await;
    insert(store, "anna", "withdrawn").await;
    insert(store, "anna", "erased").await;
    insert(store, "anna", "pending").await;
    withdraw(store, "withdrawn").await;
    erase(store, "anna", "erased").await.expect("a held dialog can be erased");
    let before = [status(store, "withdrawn").await, status(store, "erased").await];
    clock.advance(SECOND);

    assert_eq!(purge(store, clock.now(), u32::MAX).await, 1, "only pending dialogs are purged");
    assert!(read(store, "anna", "consented").await.is_ok(), "a consented dialog is left alone");
    let after = [status(store, "withdrawn").await, status(store, "erased").await];
    assert_eq!(after, before, "tombstones are left alone");
    assert_eq!(stats(store).await.erased, 2, "expired dialogs count as erased");
}

/// A purge does not affect dialogs that come later.
pub async fn a_purge_spares_what_comes_later(store: &dyn DialogStore, clock: &ManualClock) {
    insert(store, "anna", "old").await;
    clock.advance(SECOND);
    assert_eq!(purge(store, clock.now(), 10).await, 1, "the old one expires");
    insert(store, "anna", "new").await;
    grant(store, "new").await;
    assert_eq!(
        listed(store, &Filter::default()).await,
        ["new"],
        "a new dialog can be consented to"
    );
}

/// A purge of consented dialogs takes those that were received before the date, the oldest first, and leaves pending
/// ones alone.
pub async fn a_purge_of_consented_dialogs_takes_the_oldest_and_spares_the_pending(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "pending").await;
    for name in ["a", "b", "c"] {
        clock.advance(SECOND);
        insert_consented(store, "anna", name).await;
    }
    let before = clock.now();
    clock.advance(SECOND);
    let take = |at_most| store.purge(Purge::Consented, before, at_most);
    assert_eq!(take(1).await.expect("a purge succeeds"), 1, "no more than asked");
    assert_eq!(listed(store, &Filter::default()).await, ["c", "b"], "the oldest went first");
    assert_eq!(
        take(u32::MAX).await.expect("a purge succeeds"),
        1,
        "a dialog received at the date stays"
    );
    assert_eq!(listed(store, &Filter::default()).await, ["c"]);
    let gone = status(store, "b").await;
    let kind = gone.event.map(|event| event.kind);
    assert_eq!((gone.state, kind), (ConsentState::Erased, Some(EventKind::Expired)));
    assert_eq!(status(store, "pending").await.state, ConsentState::Pending);
    assert_refused!(store.insert(dialog("anna", "a")).await, StoreError::Gone, "it stays gone");
}

/// `purgeable` returns the number of dialogs that a purge then takes.
pub async fn what_is_purgeable_is_what_a_purge_takes(store: &dyn DialogStore, clock: &ManualClock) {
    for number in 0..4 {
        insert(store, "anna", &format!("p-{number}")).await;
        insert_consented(store, "ben", &format!("c-{number}")).await;
        clock.advance(MICROSECOND);
    }
    let date = clock.now();
    insert(store, "anna", "p-last").await;
    insert_consented(store, "ben", "c-last").await;
    for which in [Purge::Pending, Purge::Consented] {
        let due = store.purgeable(which, date).await.expect("a count");
        assert_eq!(due, 4, "those received before the date");
        let all = store.purgeable(which, Date::MAX).await.expect("a count");
        assert_eq!(all, 5);
        assert_eq!(store.purgeable(which, Date::MIN).await.expect("a count"), 0);
        assert_eq!(store.purge(which, date, u32::MAX).await.expect("a purge succeeds"), due);
        assert_eq!(store.purgeable(which, date).await.expect("a count"), 0);
    }
}

/// An id whose tombstone was forgotten counts as never used.
pub async fn a_forgotten_tombstone_frees_its_id(store: &dyn DialogStore, clock: &ManualClock) {
    for (name, ending) in ["a", "b", "c", "d", "e", "f"].into_iter().zip(Ending::ALL) {
        ending.bring(store, clock, "anna", name).await;
        let date = clock.now();
        let forget = |before| store.purge(Purge::Tombstones, before, 10);
        assert_eq!(
            forget(date).await.expect("a purge succeeds"),
            0,
            "the tombstone is not older than the date"
        );
        clock.advance(MICROSECOND);
        assert_eq!(forget(clock.now()).await.expect("a purge succeeds"), 1);
        assert_refused!(store.consent(&id(name)).await, StoreError::NotFound, "nothing is known");
        let counts = stats(store).await;
        assert_eq!((counts.withdrawn, counts.erased), (0, 0), "forgotten tombstones do not count");
        insert_consented(store, "ben", name).await;
        assert!(read(store, "ben", name).await.is_ok(), "its id can be taken again");
    }
}

/// A purge forgets the oldest tombstones first, no more than asked for, and the ledger keeps their events.
pub async fn tombstones_are_forgotten_oldest_first_and_their_events_stay(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for name in ["c", "e", "a", "d", "b"] {
        insert_consented(store, "anna", name).await;
        clock.advance(SECOND);
        withdraw(store, name).await;
    }
    let ledger = events(store).await;
    let before = clock.now();
    let due = store.purgeable(Purge::Tombstones, before).await;
    assert_eq!(due.expect("a count"), 4, "those older than that date");
    let mut left = vec!["c", "e", "a", "d"];
    for (at_most, expected) in [(0, 0), (1, 1), (2, 2), (9, 1), (9, 0)] {
        let forgotten = store.purge(Purge::Tombstones, before, at_most).await;
        assert_eq!(forgotten.expect("a purge succeeds"), expected);
        for name in left.drain(..usize::try_from(expected).expect("a few")) {
            assert_refused!(store.consent(&id(name)).await, StoreError::NotFound, "the oldest");
        }
        for name in left.iter().chain(["b"].iter()) {
            assert_eq!(status(store, name).await.state, ConsentState::Withdrawn, "it stays");
        }
        let due = store.purgeable(Purge::Tombstones, before).await;
        assert_eq!(due.expect("a count"), left.len() as u64);
    }
    assert_eq!(events(store).await, ledger, "the ledger forgets nothing");
    assert_eq!(store.purgeable(Purge::Tombstones, Date::MAX).await.expect("a count"), 1);
}

/// A scrub returns when no erasure is waiting, and changes nothing else.
pub async fn nothing_waits_to_be_scrubbed_after_a_scrub(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    store.scrub().await.expect("an empty store can be scrubbed");
    insert_consented(store, "ben", "stays").await;
    for (name, ending) in ["a", "b", "c", "d", "e", "f"].into_iter().zip(Ending::ALL) {
        ending.bring(store, clock, "anna", name).await;
        store.scrub().await.expect("a store in use can be scrubbed");
        assert_eq!(store.activity().unscrubbed, None, "earlier erasures are scrubbed");
        assert_eq!(status(store, name).await.state, ending.state(), "its tombstone stays");
    }
    assert!(read(store, "ben", "stays").await.is_ok(), "a scrub erases nothing by itself");
}

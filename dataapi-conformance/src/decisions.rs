//! Decisions: what a grant and a withdrawal do, and their receipts.

use dataapi_core::{Clock, ConsentState, Decision, DialogStore, Evidence, StoreError};

use crate::ManualClock;
use crate::scene::{
    Ending, SECOND, assert_refused, decide, evidence, grant, id, insert, insert_consented, read,
    stats, status, withdraw,
};

/// A decision on a dialog is recorded and returns a receipt with the date and the evidence.
pub async fn a_receipt_proves_what_was_decided_when_and_on_what(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "d-1").await;
    for decision in [Decision::Granted, Decision::Withdrawn] {
        clock.advance(SECOND);
        let shown = evidence("terms of March");
        let receipt = store.decide(id("d-1"), decision, shown.clone()).await;
        let receipt = receipt.expect("a decision on a dialog is recorded");
        assert_eq!(receipt.dialog_id, id("d-1"), "the receipt names the dialog");
        assert_eq!(receipt.decision, decision, "the receipt says what was decided");
        assert_eq!(receipt.event.date, clock.now(), "the receipt says when");
        assert_eq!(receipt.event.evidence, shown, "the receipt contains the evidence");
    }
}

/// A withdrawal erases a pending or consented dialog and leaves a tombstone.
pub async fn a_withdrawal_erases_a_pending_and_a_consented_dialog(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    insert_consented(store, "anna", "another").await;
    for dialog in ["pending", "consented"] {
        withdraw(store, dialog).await;
        assert_refused!(
            read(store, "anna", dialog).await,
            StoreError::NotFound,
            "a withdrawal erases a {dialog} dialog"
        );
        let state = status(store, dialog).await.state;
        assert_eq!(state, ConsentState::Withdrawn, "a withdrawal leaves a tombstone");
    }
    assert!(read(store, "anna", "another").await.is_ok(), "a withdrawal affects one dialog only");
}

/// Repeating a decision changes nothing and returns the first receipt.
pub async fn a_decision_said_twice_returns_the_first_receipt(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert(store, "anna", "d-1").await;
    for decision in [Decision::Granted, Decision::Withdrawn] {
        clock.advance(SECOND);
        let first = store.decide(id("d-1"), decision, evidence("first")).await;
        let first = first.expect("a decision on a dialog is recorded");
        let before = stats(store).await;
        for other in [evidence("first"), evidence("second"), Evidence::default()] {
            clock.advance(SECOND);
            let again = store.decide(id("d-1"), decision, other).await;
            let again = again.expect("the same decision again succeeds");
            assert_eq!(again, first, "the first receipt is returned, with its date and evidence");
        }
        assert_eq!(status(store, "d-1").await.date, first.event.date, "the first date is kept");
        assert_eq!(stats(store).await, before, "the same decision again changes no count");
    }
}

/// A grant after a withdrawal or an erasure is refused with `Conflict`.
pub async fn a_late_grant_is_a_conflict(store: &dyn DialogStore, clock: &ManualClock) {
    for ending in Ending::ALL {
        ending.bring(store, clock, "anna", &format!("{ending:?}")).await;
        for _ in 0..2 {
            clock.advance(SECOND);
            assert_refused!(
                decide(store, &format!("{ending:?}"), Decision::Granted).await,
                StoreError::Conflict,
                "after {ending:?} a grant is a conflict"
            );
        }
        let state = status(store, &format!("{ending:?}")).await.state;
        assert_eq!(state, ending.state(), "a late grant changes nothing");
    }
}

/// A withdrawal after an erasure changes nothing and returns a receipt with the date of the erasure.
pub async fn a_withdrawal_after_an_erasure_returns_its_date(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for ending in Ending::ALL.into_iter().filter(|end| end.state() == ConsentState::Erased) {
        let name = format!("{ending:?}");
        let erased = ending.bring(store, clock, "anna", &name).await;
        for _ in 0..2 {
            clock.advance(SECOND);
            let receipt = store.decide(id(&name), Decision::Withdrawn, evidence("late")).await;
            let receipt = receipt.expect("a withdrawal after an erasure is answered");
            assert_eq!(receipt.dialog_id, id(&name), "the receipt names the dialog");
            assert_eq!(
                receipt.decision,
                Decision::Withdrawn,
                "the receipt says that it is a withdrawal"
            );
            assert_eq!(receipt.event.date, erased, "the receipt has the date of {ending:?}");
            assert_eq!(receipt.event.evidence, Evidence::default(), "the erasure has no evidence");
        }
        let now = status(store, &name).await;
        assert_eq!(
            now.state,
            ConsentState::Erased,
            "a withdrawal after {ending:?} changes nothing"
        );
        assert_eq!(now.date, erased, "a withdrawal after {ending:?} changes no date");
    }
}

/// A decision on an id that was never used is refused with `NotFound` and does not take the id.
pub async fn a_decision_on_an_unknown_id_is_not_found(store: &dyn DialogStore, _: &ManualClock) {
    insert_consented(store, "anna", "d-1").await;
    for decision in [Decision::Granted, Decision::Withdrawn] {
        assert_refused!(
            decide(store, "D-1", decision).await,
            StoreError::NotFound,
            "nothing can be decided on an id that was never used"
        );
    }
    assert_refused!(
        store.consent(&id("D-1")).await,
        StoreError::NotFound,
        "a refused decision leaves no trace"
    );
    insert(store, "anna", "D-1").await;
}

/// The consent status has the state of a dialog, even an erased one, and the date since when.
pub async fn consent_tells_every_state_and_its_date(store: &dyn DialogStore, clock: &ManualClock) {
    let received = insert(store, "anna", "d-1").await;
    clock.advance(SECOND);
    let pending = status(store, "d-1").await;
    assert_eq!(pending.dialog_id, id("d-1"), "the status names the dialog");
    assert_eq!((pending.state, pending.date), (ConsentState::Pending, received), "while pending");

    let granted = grant(store, "d-1").await.event.date;
    clock.advance(SECOND);
    let now = status(store, "d-1").await;
    assert_eq!((now.state, now.date), (ConsentState::Granted, granted), "after a grant");

    let withdrawn = withdraw(store, "d-1").await.event.date;
    clock.advance(SECOND);
    let now = status(store, "d-1").await;
    assert_eq!((now.state, now.date), (ConsentState::Withdrawn, withdrawn), "after a withdrawal");

    for ending in Ending::ALL {
        let name = format!("{ending:?}");
        let ended = ending.bring(store, clock, "anna", &name).await;
        clock.advance(SECOND);
        let now = status(store, &name).await;
        assert_eq!((now.state, now.date), (ending.state(), ended), "after {ending:?}");
    }
}

/// The consent of an id that was never used is `NotFound`.
pub async fn consent_of_an_unknown_id_is_not_found(store: &dyn DialogStore, _: &ManualClock) {
    insert(store, "anna", "d-1").await;
    insert_consented(store, "anna", "d-2").await;
    withdraw(store, "d-2").await;
    for unknown in ["d-3", "D-1", "D-2", "d-"] {
        assert_refused!(
            store.consent(&id(unknown)).await,
            StoreError::NotFound,
            "an id that was never used has no consent status"
        );
    }
}

/// Evidence is kept as it was sent, including omitted parts, and outlives the dialog.
pub async fn evidence_is_kept_as_it_was_sent(store: &dyn DialogStore, _: &ManualClock) {
    let longest = "é".repeat(127) + "!";
    let pieces = [None, Some(""), Some(&*longest), Some("a \"b\" 'c'\n🙂\u{1}")];
    for (number, piece) in pieces.into_iter().enumerate() {
        for place in 0..3 {
            let mut parts = [None, None, None];
            parts[place] = piece.map(str::to_owned);
            let [notice, method, locale] = parts;
            let sent = Evidence::parse(notice, method, locale).expect("the evidence is valid");
            let name = format!("{number}-{place}");
            insert(store, "anna", &name).await;
            for decision in [Decision::Granted, Decision::Withdrawn] {
                for evidence in [sent.clone(), Evidence::default()] {
                    let receipt = store.decide(id(&name), decision, evidence).await;
                    let receipt = receipt.expect("a decision is recorded");
                    assert_eq!(
                        receipt.event.evidence, sent,
                        "the first evidence is kept as it was sent"
                    );
                }
            }
        }
    }
}

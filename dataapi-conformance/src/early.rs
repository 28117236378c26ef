//! Early decisions, which come before their dialog.

use std::time::Duration;

use dataapi_core::{
    Clock, ConsentState, Decision, DialogStore, EarlyDecision, EventKind, Evidence, HeldDecision,
    ImportedDialog, StoreError,
};

use crate::ManualClock;
use crate::ledger::events;
use crate::scene::{
    SECOND, assert_refused, decide, dialog, evidence, id, insert, insert_consented, read, stats,
    status, withdraw,
};

/// How long the promises hold early decisions. A server that is tested through its API must be configured with this
/// time.
pub const HOLD: Duration = Duration::from_secs(15 * 60);

async fn early(
    store: &dyn DialogStore,
    name: &str,
    decision: Decision,
    evidence: Evidence,
) -> Result<EarlyDecision, StoreError> {
    store.decide_early(id(name), decision, evidence, HOLD).await
}

pub(crate) async fn held(
    store: &dyn DialogStore,
    name: &str,
    decision: Decision,
    evidence: Evidence,
) -> HeldDecision {
    match early(store, name, decision, evidence).await {
        Ok(EarlyDecision::Held(held)) => held,
        other => panic!("a decision on a dialog that has not arrived is held, not {other:?}"),
    }
}

/// An early grant is not an event yet. When its dialog arrives, it is readable at once, with the evidence of the grant.
pub async fn an_early_grant_makes_its_dialog_readable_at_once(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let said = clock.now();
    let answer = held(store, "d", Decision::Granted, evidence("v1")).await;
    let expected = HeldDecision {
        dialog_id: id("d"),
        decision: Decision::Granted,
        date: said,
        until: Some(said.saturating_add(HOLD)),
    };
    assert_eq!(answer, expected);
    assert_eq!(events(store).await, [], "a held grant is not an event");
    assert_refused!(
        store.consent(&id("d")).await,
        StoreError::NotFound,
        "the dialog has not arrived"
    );

    clock.advance(SECOND);
    let received = store.insert(dialog("anna", "d")).await.expect("its id is free");
    assert!(received.is_consented, "its customer has consented");
    assert_eq!(received.date, clock.now());
    assert_eq!(read(store, "anna", "d").await.expect("it is readable").date(), received.date);
    let [event] = &events(store).await[..] else { panic!("one grant is one event") };
    assert_eq!((event.kind, event.date), (EventKind::Granted, received.date));
    assert_eq!(event.evidence, evidence("v1"), "it has the evidence of the early grant");
    assert_eq!(status(store, "d").await.event.as_ref(), Some(event));
    assert_eq!(stats(store).await.consented, 1);
}

/// An early withdrawal is an event at once, and its dialog is never stored.
pub async fn an_early_withdrawal_is_recorded_and_blocks_its_dialog(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let said = clock.now();
    let answer = held(store, "d", Decision::Withdrawn, evidence("v1")).await;
    assert_eq!((answer.decision, answer.date), (Decision::Withdrawn, said));
    assert_eq!(answer.until, None, "a withdrawal never ends");
    let standing = status(store, "d").await;
    assert_eq!((standing.state, standing.date), (ConsentState::Withdrawn, said));
    assert_eq!(standing.event.expect("a withdrawal is an event").evidence, evidence("v1"));
    assert_eq!(stats(store).await.withdrawn, 1);

    clock.advance(HOLD + HOLD);
    assert_refused!(store.insert(dialog("anna", "d")).await, StoreError::Gone, "it was withdrawn");
    let imported = ImportedDialog { dialog: dialog("anna", "d"), date: None, consented: true };
    let answers = store.import(vec![imported]).await.expect("an import is answered");
    assert_refused!(&answers[0], StoreError::Gone, "it was withdrawn");
}

/// An early withdrawal ends an early grant.
pub async fn an_early_withdrawal_ends_an_early_grant(store: &dyn DialogStore, _: &ManualClock) {
    held(store, "d", Decision::Granted, Evidence::default()).await;
    held(store, "d", Decision::Withdrawn, Evidence::default()).await;
    assert_refused!(store.insert(dialog("anna", "d")).await, StoreError::Gone, "it was withdrawn");
}

/// A withdrawal that is not to be held ends an early grant too. Otherwise the dialog would become readable.
pub async fn any_withdrawal_ends_an_early_grant(store: &dyn DialogStore, _: &ManualClock) {
    let grant = decide(store, "d", Decision::Granted).await;
    assert_refused!(grant, StoreError::NotFound, "the dialog has not arrived");
    held(store, "d", Decision::Granted, Evidence::default()).await;
    let receipt = withdraw(store, "d").await;
    assert_eq!(receipt.event.kind, EventKind::Withdrawn);
    assert_refused!(store.insert(dialog("anna", "d")).await, StoreError::Gone, "it was withdrawn");
}

/// If an early decision is repeated, the first one counts: its date, its evidence and the end of its time.
pub async fn an_early_decision_said_twice_is_answered_with_the_first(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let first = held(store, "d", Decision::Granted, evidence("v1")).await;
    clock.advance(SECOND);
    assert_eq!(held(store, "d", Decision::Granted, evidence("v2")).await, first);
    store.insert(dialog("anna", "d")).await.expect("its id is free");
    assert_eq!(status(store, "d").await.event.expect("a grant").evidence, evidence("v1"));

    let withdrawal = held(store, "e", Decision::Withdrawn, evidence("v1")).await;
    clock.advance(SECOND);
    match early(store, "e", Decision::Withdrawn, evidence("v2")).await {
        Ok(EarlyDecision::Recorded(receipt)) => {
            assert_eq!(receipt.event.date, withdrawal.date);
            assert_eq!(receipt.event.evidence, evidence("v1"));
        }
        other => panic!("a recorded withdrawal has a receipt, not {other:?}"),
    }
}

/// Nothing is left of an early grant whose time is over.
pub async fn an_early_grant_ends_when_its_time_is_over(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    for name in ["again", "late", "withdrawn"] {
        held(store, name, Decision::Granted, evidence("v1")).await;
    }
    clock.advance(HOLD);
    assert_refused!(
        decide(store, "withdrawn", Decision::Withdrawn).await,
        StoreError::NotFound,
        "there is no grant that it could end"
    );
    let received = store.insert(dialog("anna", "late")).await.expect("its id is free");
    assert!(!received.is_consented, "its grant has ended");
    assert_refused!(
        read(store, "anna", "late").await,
        StoreError::ConsentRequired,
        "it is pending"
    );
    let again = held(store, "again", Decision::Granted, evidence("v2")).await;
    assert_eq!(again.date, clock.now(), "an expired grant does not count as the first");
    store.insert(dialog("anna", "again")).await.expect("its id is free");
    assert_eq!(status(store, "again").await.event.expect("a grant").evidence, evidence("v2"));
}

/// A late grant never undoes a withdrawal.
pub async fn an_early_grant_after_a_withdrawal_is_a_conflict(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    held(store, "d", Decision::Withdrawn, Evidence::default()).await;
    insert(store, "anna", "e").await;
    withdraw(store, "e").await;
    for name in ["d", "e"] {
        let late = early(store, name, Decision::Granted, Evidence::default()).await;
        assert_refused!(late, StoreError::Conflict, "a late grant is a conflict");
    }
}

/// An early decision on an existing dialog is recorded like any other.
pub async fn an_early_decision_on_what_is_there_is_recorded(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    insert(store, "anna", "d").await;
    for (decision, kind) in [
        (Decision::Granted, EventKind::Granted),
        (Decision::Granted, EventKind::Granted),
        (Decision::Withdrawn, EventKind::Withdrawn),
    ] {
        match early(store, "d", decision, Evidence::default()).await {
            Ok(EarlyDecision::Recorded(receipt)) => assert_eq!(receipt.event.kind, kind),
            other => panic!("a decision on an existing dialog is recorded, not {other:?}"),
        }
    }
    assert_eq!(events(store).await.len(), 2, "the same decision again is no event");
}

/// A held grant applies to an imported dialog too, whether or not the import contains consent.
pub async fn an_early_grant_holds_for_an_import(store: &dyn DialogStore, _: &ManualClock) {
    for (name, consented) in [("pending", false), ("consented", true)] {
        held(store, name, Decision::Granted, evidence("v1")).await;
        let imported = ImportedDialog { dialog: dialog("anna", name), date: None, consented };
        let answers = store.import(vec![imported]).await.expect("an import is answered");
        assert!(answers[0].is_ok());
        assert!(read(store, "anna", name).await.is_ok(), "its customer has consented");
        assert_eq!(status(store, name).await.event.expect("a grant").evidence, evidence("v1"));
    }
}

/// A held grant applies to the next dialog with its id, not to later ones.
pub async fn an_early_grant_is_used_once(store: &dyn DialogStore, clock: &ManualClock) {
    held(store, "d", Decision::Granted, Evidence::default()).await;
    insert_consented(store, "anna", "d").await;
    withdraw(store, "d").await;
    clock.advance(SECOND);
    let forgotten = store.purge(dataapi_core::Purge::Tombstones, clock.now(), 10).await;
    assert_eq!(forgotten.expect("a purge succeeds"), 1);
    let received = store.insert(dialog("anna", "d")).await.expect("its id is free again");
    assert!(!received.is_consented, "nobody has consented to this one");
}

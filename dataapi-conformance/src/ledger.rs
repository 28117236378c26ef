//! The consent ledger: each decision, erasure and expiry is one chained event, and nothing else is an event.

use std::collections::{BTreeMap, BTreeSet};

use dataapi_core::{
    Change, Clock, Decision, DialogStore, Event, EventKind, Evidence, ImportedDialog, LedgerHead,
    Limit, Positions, Purge, Reach, StoreError,
};

use crate::ManualClock;
use crate::parallel::at_once;
use crate::scene::{
    self, Ending, SECOND, assert_refused, customer, decide, dialog, grant, id, insert,
    insert_consented, largest, page, status, withdraw,
};

/// Returns all events, chain by chain, if there are at most 1000.
pub(crate) async fn events(store: &dyn DialogStore) -> Vec<Event> {
    events_after(store, &Positions::START).await
}

/// Returns the events after these positions, if there are at most 1000.
async fn events_after(store: &dyn DialogStore, after: &Positions) -> Vec<Event> {
    store.events(after, Limit::MAX, &Reach::default()).await.expect("the ledger can be read")
}

/// Returns the positions at the end of the ledger.
async fn end(store: &dyn DialogStore) -> Positions {
    store.ledger_head().await.expect("the ledger has a head").positions
}

/// Returns all events, chain by chain, and checks the chains up to the head of the ledger.
async fn audited(store: &dyn DialogStore) -> Vec<Event> {
    let events = scene::audited(store, None).await;
    assert!(events.is_sorted_by_key(|event| (event.chain, event.position)), "chain by chain");
    events
}

/// The ledger of a store without decisions is empty.
pub async fn a_new_store_has_an_empty_ledger(store: &dyn DialogStore, _: &ManualClock) {
    assert_eq!(audited(store).await, []);
    insert(store, "anna", "pending").await;
    let head = store.ledger_head().await.expect("a head");
    assert_eq!(head, LedgerHead::EMPTY, "storing is no decision");
}

/// Each decision, erasure and expiry is one event, with its kind and date.
pub async fn each_end_of_a_dialog_is_an_event(store: &dyn DialogStore, clock: &ManualClock) {
    for (name, ending) in ["a", "b", "c", "d", "e", "f"].into_iter().zip(Ending::ALL) {
        let before = end(store).await;
        let date = ending.bring(store, clock, "anna", name).await;
        audited(store).await;
        let events = events_after(store, &before).await;
        let new: Vec<_> = events.iter().map(|event| event.kind).collect();
        let last = match ending {
            Ending::RefusedAtOnce | Ending::Withdrawn => EventKind::Withdrawn,
            Ending::Expired => EventKind::Expired,
            _ => EventKind::Erased,
        };
        let granted = matches!(ending, Ending::Withdrawn | Ending::ErasedConsented);
        let expected = if granted { vec![EventKind::Granted, last] } else { vec![last] };
        assert_eq!(new, expected, "the ledger contains what happened");
        let event = &events[events.len() - 1];
        assert_eq!(event.date, date, "an event has the date of what it records");
        assert!(
            events.iter().all(|other| other.reference == event.reference),
            "all events of a dialog have its reference"
        );
        assert_eq!(
            status(store, name).await.event.as_ref(),
            Some(event),
            "the consent status of a dialog contains its last event"
        );
    }
    let references: BTreeSet<_> = events(store).await.iter().map(|event| event.reference).collect();
    assert_eq!(references.len(), Ending::ALL.len(), "each dialog has its own reference");
}

/// A receipt contains the event that it proves, with its evidence.
pub async fn a_receipt_is_an_event_of_the_ledger(store: &dyn DialogStore, clock: &ManualClock) {
    insert(store, "anna", "d").await;
    let evidence = |notice: &str| {
        Evidence::parse(Some(notice.to_owned()), Some("button".into()), None).expect("evidence")
    };
    let grant = store.decide(id("d"), Decision::Granted, evidence("v1")).await.expect("a grant");
    assert_eq!(status(store, "d").await.event.as_ref(), Some(&grant.event));
    clock.advance(SECOND);
    let withdrawal =
        store.decide(id("d"), Decision::Withdrawn, evidence("v2")).await.expect("a withdrawal");
    assert_eq!(audited(store).await, [grant.event, withdrawal.event]);
}

/// A call that changes nothing writes no event.
pub async fn what_changes_nothing_is_no_event(store: &dyn DialogStore, clock: &ManualClock) {
    insert_consented(store, "anna", "consented").await;
    Ending::Withdrawn.bring(store, clock, "ben", "withdrawn").await;
    Ending::ErasedPending.bring(store, clock, "ben", "erased").await;
    let before = audited(store).await;
    grant(store, "consented").await;
    withdraw(store, "withdrawn").await;
    withdraw(store, "erased").await;
    for name in ["withdrawn", "erased"] {
        let late = decide(store, name, Decision::Granted).await;
        assert_refused!(late, StoreError::Conflict, "a late grant is a conflict");
        assert!(store.insert(dialog("ben", name)).await.is_err(), "a gone id stays taken");
    }
    let unknown = decide(store, "unknown", Decision::Withdrawn).await;
    assert_refused!(unknown, StoreError::NotFound, "it was never stored");
    assert!(store.erase_dialog(&customer("ben"), &id("consented")).await.is_err());
    store.erase_customer(&customer("nobody")).await.expect("erasing an unknown customer succeeds");
    store.purge(Purge::Pending, clock.now(), 10).await.expect("a purge succeeds");
    insert(store, "anna", "pending").await;
    assert_eq!(audited(store).await, before);
}

/// An imported consent is an event with the date of the import, and evidence that says it was imported.
pub async fn an_imported_consent_is_an_event(store: &dyn DialogStore, clock: &ManualClock) {
    let imported = |name, consented| ImportedDialog {
        dialog: dialog("anna", name),
        date: Some(clock.now()),
        consented,
    };
    let batch = vec![imported("yes", true), imported("pending", false), imported("also", true)];
    store.import(batch).await.expect("an import is answered");
    let events = audited(store).await;
    assert_eq!(events.len(), 2, "one for each consent");
    for name in ["yes", "also"] {
        let event = status(store, name).await.event.expect("it is decided on");
        assert_eq!((event.kind, event.date), (EventKind::Granted, clock.now()));
        assert_eq!(event.evidence, Evidence::of_import());
        assert!(events.contains(&event));
    }
}

/// Events can be read on from any position, in order, and no more than asked for.
pub async fn events_are_read_on_from_any_position(store: &dyn DialogStore, _: &ManualClock) {
    for number in 0..5 {
        insert_consented(store, "anna", &format!("d-{number}")).await;
    }
    let all = audited(store).await;
    for limit in 1..=6_usize {
        let asked = Limit::new(limit as u64).expect("a limit");
        for from in 0..=all.len() {
            let mut after = Positions::START;
            all[..from].iter().for_each(|event| after.pass(event));
            let some = store
                .events(&after, asked, &Reach::default())
                .await
                .expect("the ledger can be read");
            let expected: Vec<_> = all.iter().skip(from).take(limit).cloned().collect();
            assert_eq!(some, expected, "{limit} after {from}");
        }
    }
    let mut beyond = Positions::START;
    for event in &all {
        beyond.set(event.chain, u64::MAX);
    }
    assert_eq!(events_after(store, &beyond).await, [], "there is an end");
}

/// Erasing a customer writes one event for each dialog.
pub async fn erasing_a_customer_is_an_event_for_each_dialog(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    insert(store, "anna", "pending").await;
    insert_consented(store, "anna", "consented").await;
    insert_consented(store, "ben", "stays").await;
    store.erase_customer(&customer("anna")).await.expect("a customer can be erased");
    let mut kinds: Vec<_> = audited(store).await.iter().map(|event| event.kind.code()).collect();
    kinds.sort_unstable();
    let [granted, erased] = [EventKind::Granted, EventKind::Erased].map(EventKind::code);
    assert_eq!(kinds, [granted, granted, erased, erased]);
}

/// All events of a dialog are in one chain, in the order in which they happened.
pub async fn all_events_of_a_dialog_are_in_one_chain(store: &dyn DialogStore, _: &ManualClock) {
    for number in 0..20 {
        let name = format!("d-{number}");
        let granted = {
            insert(store, "anna", &name).await;
            grant(store, &name).await.event
        };
        let withdrawn = withdraw(store, &name).await.event;
        assert_eq!(granted.chain, withdrawn.chain, "they are in one chain");
        assert!(granted.position < withdrawn.position, "they are in order");
    }
    assert_eq!(audited(store).await.len(), 40);
}

/// Concurrent decisions leave no gap and no fork in any chain.
pub async fn concurrent_decisions_make_one_chain(store: &dyn DialogStore, _: &ManualClock) {
    const DIALOGS: usize = 48;
    for number in 0..DIALOGS {
        insert(store, "anna", &format!("d-{number}")).await;
    }
    let decisions = (0..DIALOGS).map(|number| {
        let decision = if number % 3 == 0 { Decision::Withdrawn } else { Decision::Granted };
        store.decide(id(&format!("d-{number}")), decision, Evidence::default())
    });
    let receipts = at_once(decisions);
    let events = audited(store).await;
    assert_eq!(events.len(), DIALOGS);
    for receipt in receipts {
        let event = receipt.expect("a decision on a pending dialog").event;
        let place = |event: &Event| (event.chain, event.position);
        let found = events.iter().find(|other| place(other) == place(&event));
        assert_eq!(found, Some(&event), "a receipt contains the event at its place in the ledger");
    }
}

async fn changes(store: &dyn DialogStore, after: &Positions, limit: Limit) -> Vec<Change> {
    store.changes(after, limit, &Reach::default()).await.expect("the ledger can be read")
}

/// Changes are the events, in order, from any position. A grant that is still valid comes with its dialog, and no other
/// event does.
pub async fn changes_are_the_events_with_what_is_readable_by_them(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    insert_consented(store, "anna", "stays").await;
    insert(store, "anna", "pending").await;
    Ending::Withdrawn.bring(store, clock, "ben", "withdrawn").await;
    grant(store, "pending").await;
    insert_consented(store, "ben", "erased").await;
    store.erase_customer(&customer("ben")).await.expect("a customer can be erased");
    let events = audited(store).await;
    for from in 0..=events.len() {
        let mut after = Positions::START;
        events[..from].iter().for_each(|event| after.pass(event));
        for limit in [1, 2, 1000] {
            let limit = Limit::new(limit).expect("a limit");
            let found = changes(store, &after, limit).await;
            let expected: Vec<_> = events.iter().skip(from).take(limit.get()).collect();
            assert_eq!(found.iter().map(|change| &change.event).collect::<Vec<_>>(), expected);
        }
    }
    let readable: Vec<_> = changes(store, &Positions::START, Limit::MAX)
        .await
        .into_iter()
        .filter_map(|Change { event, dialog }| {
            let dialog = dialog?;
            assert_eq!(event.kind, EventKind::Granted);
            assert_eq!(
                event.reference,
                store.reference(dialog.dialog_id()),
                "the dialog belongs to the event"
            );
            Some(dialog)
        })
        .collect();
    let names: BTreeSet<_> = readable.iter().map(|dialog| dialog.dialog_id().as_str()).collect();
    assert_eq!(names, BTreeSet::from(["stays", "pending"]), "the dialogs that are still consented");
    for dialog in readable {
        let read = store.dialog(dialog.customer_id(), dialog.dialog_id(), &Reach::default()).await;
        assert_eq!(
            read.expect("it is readable"),
            dialog,
            "it is the same dialog as a read returns"
        );
    }
}

/// A copy of the readable dialogs, updated with the changes since then, contains what is readable now.
pub async fn changes_bring_a_copy_up_to_date(store: &dyn DialogStore, clock: &ManualClock) {
    for number in 0..12 {
        clock.advance(SECOND);
        insert(store, "anna", &format!("d-{number}")).await;
    }
    let readable = async || {
        let page = page(store, &dataapi_core::Filter::default(), largest()).await;
        let by_reference =
            |dialog: dataapi_core::Dialog| (store.reference(dialog.dialog_id()), dialog);
        page.items.into_iter().map(by_reference).collect::<BTreeMap<_, _>>()
    };
    for number in 0..6 {
        grant(store, &format!("d-{number}")).await;
    }
    let mut copy = readable().await;
    let mut seen = end(store).await;
    for number in [1, 6, 3, 7, 8] {
        grant(store, &format!("d-{number}")).await;
    }
    for number in [0, 3, 7, 9] {
        withdraw(store, &format!("d-{number}")).await;
    }
    loop {
        let some = changes(store, &seen, Limit::new(3).expect("a limit")).await;
        if some.is_empty() {
            break;
        }
        for Change { event, dialog } in some {
            seen.pass(&event);
            match dialog {
                Some(dialog) => copy.insert(event.reference, dialog),
                None => copy.remove(&event.reference),
            };
        }
    }
    assert_eq!(copy, readable().await);
}

/// A dialog's reference is known for any id, and is the one in its events.
pub async fn a_dialog_has_the_reference_of_its_events(store: &dyn DialogStore, _: &ManualClock) {
    let before = store.reference(&id("d"));
    insert_consented(store, "anna", "d").await;
    withdraw(store, "d").await;
    for event in events(store).await {
        assert_eq!(event.reference, before);
    }
    assert_eq!(store.reference(&id("d")), before);
    assert_ne!(store.reference(&id("D")), before, "similar ids have different references");
}

//! The rules of every write: in any order of decisions, nothing leaves withdrawn or erased, and the first receipt stays
//! valid.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dataapi_core::consent::rules::{
    self, Decided, DecidedEarly, EarlyGrant, HeldRecord, NewEvent, Purged, Record, Slot,
};
use dataapi_core::{
    ChainHead, Clock, ConsentState, Date, Decision, DialogId, DialogRef, Dialogs, Event, EventKind,
    Evidence, ImportedDialog, MemoryStore, NewDialog, Purge, Reach, Receipt, RefKey, StoreError,
    Upkeep,
};
use proptest::prelude::*;
use proptest::sample::select;

fn quiet() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn date(micros: i64) -> Date {
    Date::from_micros(micros).expect("it is within the bounds")
}

fn evidence(notice: &str) -> Evidence {
    Evidence::parse(Some(notice.to_owned()), None, None).expect("it is valid")
}

fn decision() -> impl Strategy<Value = Decision> {
    select(&[Decision::Granted, Decision::Withdrawn][..])
}

fn event(kind: EventKind, date: Date, evidence: Evidence) -> Event {
    ChainHead::EMPTY.next(DialogRef::from_bytes([1; 32]), kind, date, evidence)
}

fn held(granted: Option<Event>) -> Record {
    Record::Held(HeldRecord {
        customer_id: "anna".parse().expect("an id"),
        language: "en".parse().expect("a tag"),
        received: date(1),
        is_imported: false,
        granted,
    })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        Just(Record::Absent),
        (0..200_i64).prop_map(|until| Record::Awaited(EarlyGrant {
            evidence: evidence("early"),
            date: date(2),
            until: date(until),
        })),
        Just(held(None)),
        Just(held(Some(event(EventKind::Granted, date(2), evidence("first"))))),
        select(&[EventKind::Withdrawn, EventKind::Erased, EventKind::Expired][..])
            .prop_map(|kind| Record::Gone(event(kind, date(2), evidence("first")))),
    ]
}

/// What a backend does with the event that a rule returns.
fn apply(new: &NewEvent, now: Date) -> Record {
    let event = new.clone().follow(&ChainHead::EMPTY, DialogRef::from_bytes([1; 32]), now);
    if event.kind == EventKind::Granted { held(Some(event)) } else { Record::Gone(event) }
}

/// How far a dialog has come: its stage can only increase.
fn stage(record: &Record) -> u8 {
    match record {
        Record::Absent | Record::Awaited(_) => 0,
        Record::Held(HeldRecord { granted: None, .. }) => 1,
        Record::Held(HeldRecord { granted: Some(_), .. }) => 2,
        Record::Gone(_) => 3,
    }
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn decisions_never_lead_back(
        mut record in record(),
        decisions in prop::collection::vec((decision(), any::<bool>()), 0..12),
    ) {
        for (number, (decision, may_come_early)) in decisions.into_iter().enumerate() {
            let now = date(100 + i64::try_from(number).expect("few decisions"));
            let (before, said) = (record.clone(), evidence(&format!("n-{number}")));
            let gone = matches!(before, Record::Gone(_));
            let was_received = stage(&before) > 0;
            let answer = if may_come_early {
                rules::decide_early(&before, decision, &said, Duration::from_micros(5), now)
            } else {
                rules::decide(&before, decision, &said, now).map(DecidedEarly::Recorded)
            };
            match answer {
                Err(StoreError::Conflict) => {
                    prop_assert!(gone && decision == Decision::Granted, "only a gone dialog conflicts");
                }
                Err(StoreError::NotFound) => {
                    prop_assert!(!was_received && !may_come_early, "only an unused id is not found");
                }
                Err(other) => prop_assert!(false, "no decision ends in {:?}", other),
                Ok(DecidedEarly::Recorded(Decided::Already(event))) => {
                    let first = match &before {
                        Record::Held(held) => held.granted.clone(),
                        Record::Gone(event) => Some(event.clone()),
                        _ => None,
                    };
                    prop_assert_eq!(Some(event), first, "the first receipt stays valid");
                }
                Ok(DecidedEarly::Recorded(Decided::New(new)) | DecidedEarly::Blocked(new)) => {
                    prop_assert!(!gone, "a gone dialog never changes");
                    prop_assert_eq!(&new.evidence, &said);
                    let kind = match decision {
                        Decision::Granted => EventKind::Granted,
                        Decision::Withdrawn => EventKind::Withdrawn,
                    };
                    prop_assert_eq!(new.kind, kind);
                    record = apply(&new, now);
                }
                Ok(DecidedEarly::Held(grant)) => {
                    prop_assert!(!was_received && decision == Decision::Granted);
                    prop_assert!(grant.holds_at(now), "a held grant has not expired");
                    if let Record::Awaited(held) = &before && held.holds_at(now) {
                        prop_assert_eq!(&grant, held, "the first grant counts");
                    }
                    record = Record::Awaited(grant);
                }
            }
            prop_assert!(stage(&before) <= stage(&record), "no state leads back");
            if decision == Decision::Withdrawn && (was_received || may_come_early) {
                prop_assert!(matches!(record, Record::Gone(_)), "after a withdrawal it is gone");
            }
        }
    }

    #[test]
    fn a_new_dialog_takes_a_free_id_and_no_other(
        record in record(),
        same_content: bool,
        consented: bool,
        days_ahead in -2..3_i64,
        has_date: bool,
    ) {
        let now = date(100);
        let slot = match &record {
            Record::Absent => Slot::Free,
            Record::Awaited(held) => Slot::Awaited(held),
            Record::Held(_) => Slot::Taken { same_content },
            Record::Gone(_) => Slot::Gone,
        };
        let early = match &record {
            Record::Awaited(held) if held.holds_at(now) => Some(&held.evidence),
            _ => None,
        };
        let dialog = NewDialog::parse("anna", "d-1", "en", "hello")?;
        let given = has_date.then(|| date(100 + days_ahead));
        let imported = ImportedDialog { dialog, date: given, consented };
        let is_free = matches!(record, Record::Absent | Record::Awaited(_));

        match rules::insert(slot, now) {
            Ok(arrival) => {
                prop_assert!(is_free);
                prop_assert_eq!((arrival.received, arrival.is_imported), (now, false));
                prop_assert_eq!(arrival.grant.as_ref().map(|event| &event.evidence), early);
            }
            Err(StoreError::Exists { same_content: same }) => {
                prop_assert!(matches!(record, Record::Held(_)) && same == same_content);
            }
            Err(StoreError::Gone) => prop_assert!(matches!(record, Record::Gone(_))),
            Err(other) => prop_assert!(false, "no insert ends in {:?}", other),
        }
        match rules::import(slot, &imported, now) {
            Ok(arrival) => {
                prop_assert!(is_free && given.is_none_or(|date| date <= now));
                prop_assert_eq!(arrival.received, given.unwrap_or(now));
                prop_assert_eq!(arrival.is_imported, has_date);
                prop_assert_eq!(arrival.grant.is_some(), consented || early.is_some());
            }
            Err(StoreError::Invalid { field, .. }) => {
                prop_assert!(is_free, "a taken id is reported first");
                prop_assert!(field == "date" && given.is_some_and(|date| date > now));
            }
            Err(StoreError::Exists { .. } | StoreError::Gone) => prop_assert!(!is_free),
            Err(other) => prop_assert!(false, "no import ends in {:?}", other),
        }
    }

    #[test]
    fn an_erasure_takes_only_what_is_held_on_that_customer(record in record(), is_theirs: bool) {
        let customer = if is_theirs { "anna" } else { "bert" }.parse()?;
        let is_held = matches!(record, Record::Held(_));
        let erased = rules::erase_dialog(&record, &customer);
        prop_assert_eq!(erased.is_ok(), is_held && is_theirs);
        prop_assert_eq!(rules::erase_customer(&record, &customer), erased.ok());
    }

    #[test]
    fn a_purge_takes_only_what_is_due(record in record(), before in 0..4_i64) {
        let before = date(before);
        for which in [Purge::Pending, Purge::Consented, Purge::Tombstones] {
            let is_due = match (&record, which) {
                (Record::Held(held), Purge::Pending) => held.granted.is_none() && date(1) < before,
                (Record::Held(held), Purge::Consented) => held.granted.is_some() && date(1) < before,
                (Record::Gone(_), Purge::Tombstones) => date(2) < before,
                _ => false,
            };
            match rules::purge(&record, which, before) {
                None => prop_assert!(!is_due),
                Some(Purged::Forgotten) => prop_assert!(is_due && which == Purge::Tombstones),
                Some(Purged::Erased(event)) => {
                    prop_assert!(is_due && which != Purge::Tombstones);
                    prop_assert_eq!(event.kind, EventKind::Expired);
                }
            }
        }
    }

    #[test]
    fn the_status_tells_the_state_and_since_when(record in record()) {
        let id: DialogId = "d-1".parse()?;
        let status = record.clone().status(id.clone());
        let (state, date, event) = match record {
            Record::Absent | Record::Awaited(_) => {
                prop_assert!(matches!(status, Err(StoreError::NotFound)));
                return Ok(());
            }
            Record::Held(HeldRecord { granted: None, received, .. }) => {
                (ConsentState::Pending, received, None)
            }
            Record::Held(HeldRecord { granted: Some(event), .. }) => {
                (ConsentState::Granted, event.date, Some(event))
            }
            Record::Gone(event) if event.kind == EventKind::Withdrawn => {
                (ConsentState::Withdrawn, event.date, Some(event))
            }
            Record::Gone(event) => (ConsentState::Erased, event.date, Some(event)),
        };
        let status = status?;
        prop_assert_eq!(&status.dialog_id, &id);
        prop_assert_eq!((status.state, status.date, status.event), (state, date, event));
    }

    #[test]
    fn nothing_happens_to_a_dialog_before_it_was_received(behind in 0..50_i64) {
        let record = held(None);
        let Decided::New(new) =
            rules::decide(&record, Decision::Granted, &Evidence::default(), date(-behind))?
        else {
            return Err(TestCaseError::fail("this is the first decision"));
        };
        let event = new.follow(&ChainHead::EMPTY, DialogRef::from_bytes([1; 32]), date(-behind));
        prop_assert!(event.date >= date(1));
    }
}

#[test]
fn an_early_grant_counts_until_its_time_is_over() {
    let grant = EarlyGrant { evidence: evidence("early"), date: date(2), until: date(100) };
    let (awaited, said, hold) =
        (Record::Awaited(grant.clone()), evidence("said"), Duration::from_micros(50));
    let dialog = NewDialog::parse("anna", "d-1", "en", "Hello").expect("it is valid");
    let imported = ImportedDialog { dialog, date: None, consented: false };
    for (micros, holds) in [(2, true), (99, true), (100, false), (101, false)] {
        let now = date(micros);
        assert_eq!(grant.holds_at(now), holds);
        assert_eq!(awaited.state(), None, "there is no dialog");
        let withdrawal =
            NewEvent { kind: EventKind::Withdrawn, evidence: said.clone(), not_before: Date::MIN };
        match rules::decide(&awaited, Decision::Withdrawn, &said, now) {
            Ok(decided) => assert!(holds && decided == Decided::New(withdrawal.clone())),
            Err(refusal) => assert!(!holds && matches!(refusal, StoreError::NotFound)),
        }
        let granted = rules::decide(&awaited, Decision::Granted, &said, now);
        assert!(matches!(granted, Err(StoreError::NotFound)), "{granted:?}");
        let early = |decision| {
            let decided = rules::decide_early(&awaited, decision, &said, hold, now);
            decided.expect("there was no withdrawal")
        };
        assert_eq!(early(Decision::Withdrawn), DecidedEarly::Blocked(withdrawal));
        let later =
            EarlyGrant { evidence: said.clone(), date: now, until: now.saturating_add(hold) };
        let expected = if holds { &grant } else { &later };
        assert_eq!(early(Decision::Granted), DecidedEarly::Held(expected.clone()));
        for arrival in [
            rules::insert(Slot::Awaited(&grant), now),
            rules::import(Slot::Awaited(&grant), &imported, now),
        ] {
            let arrival = arrival.expect("the id is free");
            assert_eq!((arrival.received, arrival.is_imported), (now, false));
            let expected = holds.then(|| (EventKind::Granted, grant.evidence.clone(), now));
            let given = arrival.grant.map(|event| (event.kind, event.evidence, event.not_before));
            assert_eq!(given, expected);
        }
    }
}

/// A clock that advances by a microsecond on every call, so that no two dates are equal.
#[derive(Debug, Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Date {
        date(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Insert,
    Decide(Decision),
    Erase,
    EraseCustomer,
    Purge,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Insert),
        4 => decision().prop_map(Act::Decide),
        1 => Just(Act::Erase),
        1 => Just(Act::EraseCustomer),
        1 => Just(Act::Purge),
    ]
}

/// Performs the acts one after the other on one dialog in the reference model.
async fn live(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let store = MemoryStore::new(Arc::new(Ticking::default()), RefKey::from_bytes([7; 32]));
    let sent = NewDialog::parse("anna", "d-1", "en", "Hello")?;
    let (customer, id) = (sent.customer_id.clone(), sent.dialog_id.clone());
    let mut first: [Option<Receipt>; 2] = [None, None];
    let mut ended = None;
    for (number, act) in acts.into_iter().enumerate() {
        match act {
            Act::Insert => drop(store.insert(sent.clone()).await),
            Act::Erase => drop(store.erase_dialog(&customer, &id).await),
            Act::EraseCustomer => drop(store.erase_customer(&customer).await),
            Act::Purge => drop(store.purge(Purge::Pending, Date::MAX, 1).await),
            Act::Decide(decision) => {
                let shown = evidence(&format!("n-{number}"));
                if let Ok(receipt) = store.decide(id.clone(), decision, shown).await {
                    let first = &mut first[usize::from(decision == Decision::Withdrawn)];
                    let first = first.get_or_insert_with(|| receipt.clone());
                    prop_assert_eq!(first, &receipt, "the first receipt stays valid");
                }
            }
        }
        let Ok(status) = store.consent(&id).await else { continue };
        let readable = store.dialog(&customer, &id, &Reach::default()).await.is_ok();
        prop_assert_eq!(readable, status.state == ConsentState::Granted, "the gate");
        if let Some(ended) = &ended {
            prop_assert_eq!(ended, &status, "nothing leaves withdrawn or erased");
        } else if matches!(status.state, ConsentState::Withdrawn | ConsentState::Erased) {
            ended = Some(status);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn a_dialog_lives_once(acts in prop::collection::vec(act(), 0..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(live(acts))?;
    }
}

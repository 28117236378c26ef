//! The consent state machine: whatever is decided, in whatever order, nothing leaves gone and the
//! first receipt stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dataapi_core::{
    Clock, ConsentRecord, ConsentState, Date, Decision, DialogId, DialogRef, Dialogs, Event,
    EventKind, Evidence, Head, MemoryStore, NewDialog, Purge, Reach, Receipt, RefKey, StoreError,
    Transition, Upkeep,
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
    Head::EMPTY.next(DialogRef::from_bytes([1; 32]), kind, date, evidence)
}

fn record() -> impl Strategy<Value = ConsentRecord> {
    prop_oneof![
        Just(ConsentRecord::Pending { received: date(1) }),
        select(&EventKind::ALL[..]).prop_map(|kind| ConsentRecord::Decided(event(
            kind,
            date(2),
            evidence("first")
        ))),
    ]
}

/// What a backend does with a transition.
fn apply(record: ConsentRecord, to: &Transition, date: Date, evidence: Evidence) -> ConsentRecord {
    let kind = match to {
        Transition::None(_) => return record,
        Transition::Grant => EventKind::Granted,
        Transition::Withdraw => EventKind::Withdrawn,
    };
    ConsentRecord::Decided(event(kind, date, evidence))
}

fn is_gone(record: &ConsentRecord) -> bool {
    matches!(record, ConsentRecord::Decided(event) if event.kind != EventKind::Granted)
}

/// How far a dialog is on its one way.
fn stage(record: &ConsentRecord) -> u8 {
    match record {
        ConsentRecord::Pending { .. } => 0,
        ConsentRecord::Decided(_) => 1 + u8::from(is_gone(record)),
    }
}

proptest! {
    #![proptest_config(quiet())]

    #[test]
    fn decisions_never_lead_back(
        mut record in record(),
        decisions in prop::collection::vec(decision(), 0..12),
    ) {
        for (number, decision) in decisions.into_iter().enumerate() {
            let before = record.clone();
            let answer = record.decide(decision);
            let gone = is_gone(&before);
            match (&answer, decision) {
                (Err(StoreError::Conflict), Decision::Granted) => {
                    prop_assert!(gone, "only what is gone cannot be consented to");
                }
                (Err(other), _) => prop_assert!(false, "no decision ends in {:?}", other),
                (Ok(Transition::Grant), _) => prop_assert_eq!(decision, Decision::Granted),
                (Ok(Transition::Withdraw), _) => {
                    prop_assert_eq!(decision, Decision::Withdrawn);
                    prop_assert!(!gone, "what is gone is not withdrawn again");
                }
                (Ok(Transition::None(event)), _) => {
                    prop_assert_eq!(&ConsentRecord::Decided(event.clone()), &before, "the first");
                }
            }
            if let Ok(transition) = answer {
                let now = date(100 + i64::try_from(number).expect("few decisions"));
                record = apply(record, &transition, now, evidence(&format!("n-{number}")));
            }
            prop_assert!(stage(&before) <= stage(&record), "no state leads back");
            if gone {
                prop_assert_eq!(&record, &before, "nothing changes what is gone");
            }
            if decision == Decision::Withdrawn {
                prop_assert!(is_gone(&record), "after a no it is gone");
            }
        }
    }

    #[test]
    fn the_status_tells_the_state_and_since_when(record in record()) {
        let id: DialogId = "d-1".parse()?;
        let status = record.clone().status(id.clone());
        prop_assert_eq!(&status.dialog_id, &id);
        let (state, date, event) = match record {
            ConsentRecord::Pending { received } => (ConsentState::Pending, received, None),
            ConsentRecord::Decided(event) => {
                let state = match event.kind {
                    EventKind::Granted => ConsentState::Granted,
                    EventKind::Withdrawn => ConsentState::Withdrawn,
                    EventKind::Erased | EventKind::Expired => ConsentState::Erased,
                };
                (state, event.date, Some(event))
            }
        };
        prop_assert_eq!((status.state, status.date, status.event), (state, date, event));
    }
}

/// A clock that goes on by a microsecond whenever it is asked, so that no two dates are equal.
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

/// Takes the acts one after the other on a dialog of the reference model.
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
                    prop_assert_eq!(first, &receipt, "the first receipt stands");
                }
            }
        }
        let Ok(status) = store.consent(&id).await else { continue };
        let readable = store.dialog(&customer, &id, &Reach::default()).await.is_ok();
        prop_assert_eq!(readable, status.state == ConsentState::Granted, "the gate");
        if let Some(ended) = &ended {
            prop_assert_eq!(ended, &status, "nothing leaves gone");
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

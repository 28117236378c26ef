//! Written values can be read again unchanged, and have the members that clients and files rely on.

use dataapi_core::{
    Change, Date, Decision, DialogRef, Event, EventHash, EventKind, Evidence, HeldDecision,
    LedgerHead, NewDialog, Receipt, StoredDialog,
};
use dataapi_wire as wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn date() -> Date {
    "2026-03-01T10:00:00.5Z".parse().expect("a date")
}

fn event(chain: u16) -> Event {
    Event {
        chain,
        position: 7,
        reference: DialogRef::from_bytes([0xab; 32]),
        kind: EventKind::Granted,
        date: date(),
        evidence: Evidence::parse(Some("v1 \"quoted\"".into()), None, Some("de".into()))
            .expect("evidence"),
        hides_evidence: false,
        hash: EventHash::from_bytes([0xcd; 32]),
    }
}

fn change(chain: u16) -> Change {
    let dialog =
        NewDialog::parse("anna", "d/1", "pt-BR", "It was \"fine\" 🙂\n").expect("a dialog");
    let dialog = StoredDialog::new(dialog, date(), true).readable().expect("it is consented");
    Change { event: event(chain), dialog: Some(dialog) }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}

/// Whether the JSON of `T` is the same after it was read and written again.
fn is_read<T: Serialize + DeserializeOwned>(json: &str) -> bool {
    written(&serde_json::from_str::<T>(json).expect("it is read")) == json
}

#[test]
fn changes_with_their_dialogs_are_read_as_they_were() {
    for chain in [0, 3] {
        let json = written(&wire::Event::from(&change(chain)));
        assert_eq!(json.contains(r#""chain":3"#), chain == 3, "{json}");
        let read: wire::Event<'_> = serde_json::from_str(&json).expect("it is read");
        assert_eq!(read.into_domain().expect("a change"), change(chain));

        let line = written(&wire::EventLine::from(&event(chain)));
        let read: wire::EventLine<'_> = serde_json::from_str(&line).expect("it is read");
        assert_eq!(read.into_domain().expect("an event"), event(chain));
        let told: wire::Event<'_> = serde_json::from_str(&line).expect("the order is free");
        assert_eq!(told.into_domain().expect("a change").event, event(chain));
    }
    let changes = [change(0), change(1)];
    let events = changes.iter().map(wire::Event::from).collect();
    let head = LedgerHead::EMPTY.into();
    let changes = wire::Changes { events, next: "7.7".parse().expect("positions"), head };
    assert!(is_read::<wire::Changes<'_>>(&written(&changes)));
}

#[test]
fn hidden_evidence_is_told_and_never_beside_what_it_hides() {
    let hidden = event(0).without_evidence();
    let line = written(&wire::EventLine::from(&hidden));
    assert!(line.contains(r#""evidence_hidden":true"#) && !line.contains("notice"), "{line}");
    let read: wire::EventLine<'_> = serde_json::from_str(&line).expect("it is read");
    assert_eq!(read.into_domain().expect("an event"), hidden);
    let change = Change { event: hidden, dialog: None };
    let told = written(&wire::Event::from(&change));
    let read: wire::Event<'_> = serde_json::from_str(&told).expect("it is read");
    assert_eq!(read.into_domain().expect("a change"), change);
    assert!(!written(&wire::EventLine::from(&event(0))).contains("evidence_hidden"));

    let both = line.replace(r#""hash""#, r#""notice":"v1","hash""#);
    let read: wire::EventLine<'_> = serde_json::from_str(&both).expect("it has the shape");
    assert!(read.into_domain().is_err());
}

#[test]
fn a_dialog_that_nobody_consented_to_is_not_read() {
    let json = written(&wire::Event::from(&change(0)));
    let pending = json.replace(r#""consent_received":true"#, r#""consent_received":false"#);
    let read: wire::Event<'_> = serde_json::from_str(&pending).expect("it has the shape");
    assert!(read.into_domain().is_err());
}

#[test]
fn receipts_and_decisions_have_their_members_in_order() {
    let receipt = Receipt {
        dialog_id: "d-1".parse().expect("an id"),
        decision: Decision::Granted,
        event: event(0),
    };
    let json = written(&wire::Receipt::from(&receipt));
    let (ab, cd) = ("ab".repeat(32), "cd".repeat(32));
    let short = r#"{"dialog_id":"d-1","consent":"granted","date":"2026-03-01T10:00:00.500000Z","notice":"v1 \"quoted\"","locale":"de""#;
    let ledger =
        format!(r#","ledger":{{"position":7,"ref":"{ab}","kind":"granted","hash":"{cd}"}}}}"#);
    assert_eq!(json, format!("{short}{ledger}"));
    assert_eq!(written(&wire::Receipt::from(&receipt).without_ledger()), format!("{short}}}"));
    assert!(is_read::<wire::Receipt<'_>>(&json));

    for until in [None, Some(date())] {
        let (dialog_id, decision) = ("d-1".parse().expect("an id"), Decision::Withdrawn);
        let held = HeldDecision { dialog_id, decision, date: date(), until };
        let json = written(&wire::HeldDecision::from(&held));
        assert_eq!(json.ends_with(r#""held_until":null}"#), until.is_none(), "{json}");
        assert!(is_read::<wire::HeldDecision<'_>>(&json));
    }
}

#[test]
fn an_exported_line_is_read_to_be_synchronised_and_to_be_imported() {
    let Change { event, dialog } = change(0);
    let dialog = dialog.expect("a dialog");
    let line = written(&wire::ExportedDialog::new(&dialog, Some(event.reference)));
    let read: wire::ExportedLine = serde_json::from_str(&line).expect("it is read");
    assert_eq!(read.reference, event.reference);
    assert_eq!(read.position().dialog_id, *dialog.dialog_id());
    let imported =
        wire::import::line(line.as_bytes(), 1024).expect("it is fine").expect("a dialog");
    assert_eq!(imported.dialog.text, *dialog.text());
    assert_eq!((imported.date, imported.consented), (Some(dialog.date()), true));
}

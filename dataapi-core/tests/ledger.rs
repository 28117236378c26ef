//! The ledger's chain: whatever is done to it is found.

use dataapi_core::{
    Audit, BrokenChain, Date, DialogRef, Event, EventHash, EventKind, Evidence, Head,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What a chain is made of.
type Link = (DialogRef, EventKind, Date, Evidence);

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let piece = || {
        option::of("[a-z]{0,3}|.{0,60}".prop_filter("has no NUL", |piece| !piece.contains('\0')))
    };
    (piece(), piece(), piece()).prop_map(|(notice, method, locale)| {
        Evidence::parse(notice, method, locale).expect("it is short")
    })
}

fn any_link() -> impl Strategy<Value = Link> {
    let date = (-1_000_i64..1_000).prop_map(|micros| Date::from_micros(micros).expect("a date"));
    let reference = any::<[u8; 32]>().prop_map(DialogRef::from_bytes);
    (reference, select(&EventKind::ALL[..]), date, any_evidence())
}

fn chain(from: Head, links: impl IntoIterator<Item = Link>) -> Vec<Event> {
    let mut head = from;
    links
        .into_iter()
        .map(|(reference, kind, date, evidence)| {
            let event = head.next(reference, kind, date, evidence);
            head = event.head();
            event
        })
        .collect()
}

fn audit(events: &[Event], noted: Option<Head>) -> Result<Head, BrokenChain> {
    let mut audit = Audit::new(noted);
    events.iter().try_for_each(|event| audit.check(event))?;
    audit.finish()
}

/// What someone may do to a ledger, whole events or parts of one.
#[derive(Clone, Debug)]
enum Tampering {
    Remove(Index),
    Repeat(Index),
    Swap(Index, Index),
    /// Puts a chained event in, without chaining what follows anew.
    Insert(Index, Link),
    Position(Index, u64),
    Reference(Index, [u8; 32]),
    Kind(Index, EventKind),
    Date(Index, i64),
    Evidence(Index, Evidence),
    Hash(Index, [u8; 32]),
    /// Changes an event, and chains it and all that follow anew.
    Rechain(Index, Link),
}

fn any_tampering() -> impl Strategy<Value = Tampering> {
    use Tampering::{
        Evidence, Hash, Insert, Kind, Position, Rechain, Reference, Remove, Repeat, Swap,
    };
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Remove),
        at().prop_map(Repeat),
        (at(), at()).prop_map(|(a, b)| Swap(a, b)),
        (at(), any_link()).prop_map(|(at, link)| Insert(at, link)),
        (at(), 0..40_u64).prop_map(|(at, position)| Position(at, position)),
        (at(), any::<[u8; 32]>()).prop_map(|(at, bytes)| Reference(at, bytes)),
        (at(), select(&EventKind::ALL[..])).prop_map(|(at, kind)| Kind(at, kind)),
        (at(), -1_000_i64..1_000).prop_map(|(at, micros)| Tampering::Date(at, micros)),
        (at(), any_evidence()).prop_map(|(at, evidence)| Evidence(at, evidence)),
        (at(), any::<[u8; 32]>()).prop_map(|(at, bytes)| Hash(at, bytes)),
        (at(), any_link()).prop_map(|(at, link)| Rechain(at, link)),
    ]
}

fn tamper(events: &[Event], tampering: Tampering) -> Vec<Event> {
    let mut tampered = events.to_vec();
    let len = events.len();
    match tampering {
        Tampering::Remove(at) => drop(tampered.remove(at.index(len))),
        Tampering::Repeat(at) => {
            let at = at.index(len);
            tampered.insert(at, tampered[at].clone());
        }
        Tampering::Swap(a, b) => tampered.swap(a.index(len), b.index(len)),
        Tampering::Insert(at, link) => {
            let at = at.index(len);
            let before = at.checked_sub(1).map_or(Head::EMPTY, |before| events[before].head());
            tampered.insert(at, chain(before, [link]).remove(0));
        }
        Tampering::Position(at, position) => tampered[at.index(len)].position = position,
        Tampering::Reference(at, bytes) => {
            tampered[at.index(len)].reference = DialogRef::from_bytes(bytes);
        }
        Tampering::Kind(at, kind) => tampered[at.index(len)].kind = kind,
        Tampering::Date(at, micros) => {
            tampered[at.index(len)].date = Date::from_micros(micros).expect("a date");
        }
        Tampering::Evidence(at, evidence) => tampered[at.index(len)].evidence = evidence,
        Tampering::Hash(at, bytes) => {
            tampered[at.index(len)].hash = EventHash::from_bytes(bytes);
        }
        Tampering::Rechain(at, link) => {
            let at = at.index(len);
            let before = at.checked_sub(1).map_or(Head::EMPTY, |before| events[before].head());
            let rest = events[at + 1..]
                .iter()
                .map(|event| (event.reference, event.kind, event.date, event.evidence.clone()));
            tampered.splice(at.., chain(before, std::iter::once(link).chain(rest)));
        }
    }
    tampered
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_tampering_is_found_with_a_noted_head(
        links in vec(any_link(), 1..30),
        tampering in any_tampering(),
    ) {
        let events = chain(Head::EMPTY, links);
        let noted = events.last().map(Event::head);
        prop_assert_eq!(audit(&events, noted), Ok(noted.expect("there is one")));
        let tampered = tamper(&events, tampering);
        prop_assert_eq!(audit(&tampered, noted).is_err(), tampered != events);
    }

    #[test]
    fn without_a_noted_head_all_is_found_but_a_new_end(
        links in vec(any_link(), 1..30),
        tampering in any_tampering(),
    ) {
        let events = chain(Head::EMPTY, links);
        let tampered = tamper(&events, tampering);
        let is_whole_chain = tampered == chain(Head::EMPTY, tampered.iter().map(|event| {
            (event.reference, event.kind, event.date, event.evidence.clone())
        }));
        prop_assert_eq!(audit(&tampered, None).is_ok(), is_whole_chain);
    }

    #[test]
    fn a_head_is_read_as_it_is_written(position: u64, bytes: [u8; 32]) {
        let head = Head { position, hash: EventHash::from_bytes(bytes) };
        prop_assert_eq!(head.to_string().parse::<Head>(), Ok(head));
    }

    #[test]
    fn whatever_is_read_as_a_head_does_not_panic(text in ".{0,80}") {
        let _ = text.parse::<Head>();
    }
}

#[test]
fn the_first_broken_link_is_told() {
    let link =
        || (DialogRef::from_bytes([1; 32]), EventKind::Granted, Date::MIN, Evidence::default());
    let events = chain(Head::EMPTY, (0..5).map(|_| link()));
    let mut changed = events.clone();
    changed[2].kind = EventKind::Expired;
    changed[4].kind = EventKind::Expired;
    assert_eq!(audit(&changed, None), Err(BrokenChain::Link { position: 3 }));
    assert_eq!(
        audit(&events[..3], Some(events[4].head())),
        Err(BrokenChain::CutOff { position: 3 })
    );
    let noted = Head { position: 4, hash: EventHash::from_bytes([9; 32]) };
    assert_eq!(audit(&events, Some(noted)), Err(BrokenChain::Rewritten { position: 4 }));
}

/// The form that other programs verify must never change.
#[test]
fn the_hash_is_over_the_documented_bytes() {
    use sha2::{Digest, Sha256};
    let evidence = Evidence::parse(Some("v3".into()), None, Some(String::new())).unwrap();
    let date = Date::from_micros(-2).unwrap();
    let first =
        Head::EMPTY.next(DialogRef::from_bytes([7; 32]), EventKind::Withdrawn, date, evidence);
    let bytes = [
        &[0; 32][..],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[7; 32],
        &[2],
        &[255, 255, 255, 255, 255, 255, 255, 254],
        &[0, 2, b'v', b'3'],
        &[255, 255],
        &[0, 0],
    ]
    .concat();
    assert_eq!(first.hash.as_bytes()[..], Sha256::digest(bytes)[..]);
}

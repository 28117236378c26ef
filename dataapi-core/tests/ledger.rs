//! The chains of the ledger: every change to them is found.

use dataapi_core::{
    Audit, BrokenChain, ChainHead, Date, DialogRef, Event, EventHash, EventKind, Evidence,
    LedgerHead, Positions,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The content of an event, before it is chained.
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

fn chain(from: ChainHead, links: impl IntoIterator<Item = Link>) -> Vec<Event> {
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

/// Events of several chains, in the order in which they were written.
fn any_mix() -> impl Strategy<Value = Vec<Event>> {
    vec((0..4_u16, any_link()), 1..30).prop_map(|links| {
        let mut heads = [0, 1, 2, 3].map(ChainHead::empty);
        links
            .into_iter()
            .map(|(number, link)| {
                let head = &mut heads[usize::from(number)];
                let event = chain(*head, [link]).remove(0);
                *head = event.head();
                event
            })
            .collect()
    })
}

/// The head of the ledger after these events. The events of each chain are in order.
fn head_of(events: &[Event]) -> LedgerHead {
    let last = |chain| events.iter().rfind(|event| event.chain == chain).map(Event::head);
    LedgerHead::of((0..4).filter_map(last))
}

fn audit(events: &[Event], noted: Option<LedgerHead>) -> Result<LedgerHead, BrokenChain> {
    let mut audit = Audit::new(noted);
    events.iter().try_for_each(|event| audit.check(event))?;
    audit.finish()
}

/// What someone could do to a ledger: change whole events or parts of one.
#[derive(Clone, Debug)]
enum Tampering {
    Remove(Index),
    Repeat(Index),
    Swap(Index, Index),
    /// Inserts a chained event without chaining the following events again.
    Insert(Index, Link),
    Position(Index, u64),
    Reference(Index, [u8; 32]),
    Kind(Index, EventKind),
    Date(Index, i64),
    Evidence(Index, Evidence),
    Hash(Index, [u8; 32]),
    /// Changes an event, and chains it and all following events again.
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

/// Tampers with the events of one chain.
fn tamper(events: &[Event], tampering: Tampering) -> Vec<Event> {
    let mut tampered = events.to_vec();
    let len = events.len();
    let empty = ChainHead::empty(events[0].chain);
    match tampering {
        Tampering::Remove(at) => drop(tampered.remove(at.index(len))),
        Tampering::Repeat(at) => {
            let at = at.index(len);
            tampered.insert(at, tampered[at].clone());
        }
        Tampering::Swap(a, b) => tampered.swap(a.index(len), b.index(len)),
        Tampering::Insert(at, link) => {
            let at = at.index(len);
            let before = at.checked_sub(1).map_or(empty, |before| events[before].head());
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
            let before = at.checked_sub(1).map_or(empty, |before| events[before].head());
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
        let events = chain(ChainHead::EMPTY, links);
        let noted = head_of(&events);
        prop_assert_eq!(audit(&events, Some(noted.clone())), Ok(noted.clone()));
        let tampered = tamper(&events, tampering);
        prop_assert_eq!(audit(&tampered, Some(noted)).is_err(), tampered != events);
    }

    #[test]
    fn hidden_evidence_is_taken_as_given_and_everything_else_is_checked(
        links in vec(any_link(), 1..30),
        is_hidden: [bool; 30],
        at: Index,
        bytes: [u8; 32],
    ) {
        let events = chain(ChainHead::EMPTY, links);
        let noted = head_of(&events);
        let shown: Vec<_> = events
            .iter()
            .zip(is_hidden)
            .map(|(event, hide)| if hide { event.clone().without_evidence() } else { event.clone() })
            .collect();
        let hidden = shown.iter().filter(|event| event.hides_evidence).count() as u64;
        let trusting = |events: &[Event]| {
            let mut audit = Audit::new(Some(noted.clone())).taking_hidden();
            events.iter().try_for_each(|event| audit.check(event))?;
            let hidden = audit.hidden();
            audit.finish().map(|head| (head, hidden))
        };
        prop_assert_eq!(trusting(&shown), Ok((noted.clone(), hidden)));
        let first = shown.iter().find(|event| event.hides_evidence);
        let refused = first.map(|event| BrokenChain::Hidden { chain: 0, position: event.position });
        prop_assert_eq!(audit(&shown, Some(noted.clone())).err(), refused);

        let at = at.index(shown.len());
        let mut cut = shown.clone();
        cut.remove(at);
        prop_assert!(trusting(&cut).is_err());
        let mut changed = shown;
        prop_assume!(!changed[at].hides_evidence && changed[at].reference.as_bytes() != &bytes);
        changed[at].reference = DialogRef::from_bytes(bytes);
        prop_assert_eq!(trusting(&changed), Err(BrokenChain::Link { chain: 0, position: at as u64 + 1 }));
    }

    #[test]
    fn without_a_noted_head_all_is_found_but_a_new_end(
        links in vec(any_link(), 1..30),
        tampering in any_tampering(),
    ) {
        let events = chain(ChainHead::EMPTY, links);
        let tampered = tamper(&events, tampering);
        let is_whole_chain = tampered == chain(ChainHead::EMPTY, tampered.iter().map(|event| {
            (event.reference, event.kind, event.date, event.evidence.clone())
        }));
        prop_assert_eq!(audit(&tampered, None).is_ok(), is_whole_chain);
    }

    #[test]
    fn chains_pass_in_any_mix_with_a_head_noted_on_the_way(
        mut events in any_mix(),
        noted_at: Index,
        cut_at: Index,
    ) {
        let whole = head_of(&events);
        let noted = head_of(&events[..=noted_at.index(events.len())]);
        prop_assert_eq!(audit(&events, None), Ok(whole.clone()));
        prop_assert_eq!(audit(&events, Some(noted.clone())), Ok(whole.clone()));
        let cut = &events[..cut_at.index(events.len())];
        let reached = |(number, position)| head_of(cut).positions.of(number) >= position;
        let reaches_noted = noted.positions.chains().all(reached);
        prop_assert_eq!(audit(cut, Some(noted.clone())).is_ok(), reaches_noted);
        // In the order in which a store returns them: chain by chain.
        events.sort_by_key(|event| event.chain);
        prop_assert_eq!(audit(&events, Some(noted)), Ok(whole));
    }

    #[test]
    fn any_tampering_with_one_of_the_chains_is_found_with_a_noted_head(
        events in any_mix(),
        of: Index,
        tampering in any_tampering(),
    ) {
        let noted = head_of(&events);
        let number = events[of.index(events.len())].chain;
        let (one, others): (Vec<_>, Vec<_>) =
            events.into_iter().partition(|event| event.chain == number);
        let tampered = tamper(&one, tampering);
        let all = [&others[..], &tampered].concat();
        prop_assert_eq!(audit(&all, Some(noted)).is_err(), tampered != one);
    }

    #[test]
    fn an_event_in_another_chain_is_found_with_a_noted_head(
        mut events in any_mix(),
        of: Index,
        to: u16,
    ) {
        let noted = head_of(&events);
        let upto = usize::try_from(noted.positions.events()).expect("few");
        let event = &mut events[of.index(upto)];
        prop_assume!(event.chain != to);
        event.chain = to;
        prop_assert!(audit(&events, Some(noted)).is_err());
    }

    #[test]
    fn all_chains_are_signed_off(events in any_mix(), of: Index, bytes: [u8; 32]) {
        let noted = head_of(&events);
        let lasts = noted.positions.chains().map(|(number, position)| {
            let at = |event: &&Event| (event.chain, event.position) == (number, position);
            events.iter().find(at).expect("it is there").head()
        });
        let mut lasts: Vec<_> = lasts.collect();
        lasts.reverse();
        prop_assert_eq!(&LedgerHead::of(lasts.clone()), &noted, "in any order");
        let len = lasts.len();
        lasts[of.index(len)].hash = EventHash::from_bytes(bytes);
        prop_assert_ne!(LedgerHead::of(lasts).hash, noted.hash);
    }

    #[test]
    fn the_head_of_one_chain_is_its_last_event(position in 1_u64.., bytes: [u8; 32]) {
        let head = ChainHead { chain: 0, position, hash: EventHash::from_bytes(bytes) };
        let signed = LedgerHead::from(head);
        prop_assert_eq!(&signed, &LedgerHead::of([ChainHead::empty(3), head, ChainHead::empty(1)]));
        prop_assert_eq!((signed.hash, signed.positions), (head.hash, position.into()));
    }

    #[test]
    fn positions_and_a_head_are_read_as_they_are_written(
        each in vec(prop_oneof![Just(0), any::<u64>()], 0..20),
        far in option::of((0..1024_u16, any::<u64>())),
        bytes: [u8; 32],
    ) {
        let mut positions = Positions::START;
        for (number, position) in (0..).zip(each).chain(far) {
            positions.set(number, position);
            prop_assert_eq!(positions.of(number), position);
        }
        prop_assert_eq!(positions.to_string().parse(), Ok(positions.clone()));
        let head = LedgerHead { positions, hash: EventHash::from_bytes(bytes) };
        prop_assert_eq!(head.to_string().parse(), Ok(head));
    }

    #[test]
    fn whatever_is_read_as_positions_or_a_head_does_not_panic(
        text in ".{0,80}|[0-9.]{0,80}|[0-9a-f]{64}@[0-9.]{0,80}",
    ) {
        let _ = text.parse::<LedgerHead>();
        if let Ok(positions) = text.parse::<Positions>() {
            prop_assert_eq!(positions.to_string().parse(), Ok(positions));
        }
    }
}

#[test]
fn what_are_no_positions_are_refused() {
    let many = vec!["1"; Positions::MAX_CHAINS].join(".");
    assert_eq!(many.parse::<Positions>().unwrap().events(), 1024);
    for none in [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "+1",
        "-1",
        "1 ",
        "1,2",
        "x",
        "0x1",
        "184467440737095516160",
        "٣",
        &format!("{many}.0"),
    ] {
        assert!(none.parse::<Positions>().is_err(), "{none:?}");
    }
    for (text, written) in [("0", "0"), ("0.0", "0"), ("007.0", "7"), ("0.0.1", "0.0.1")] {
        assert_eq!(text.parse::<Positions>().unwrap().to_string(), written);
    }
}

#[test]
fn the_first_broken_link_is_told() {
    let link =
        || (DialogRef::from_bytes([1; 32]), EventKind::Granted, Date::MIN, Evidence::default());
    let events = chain(ChainHead::EMPTY, (0..5).map(|_| link()));
    let mut changed = events.clone();
    changed[2].kind = EventKind::Expired;
    changed[4].kind = EventKind::Expired;
    assert_eq!(audit(&changed, None), Err(BrokenChain::Link { chain: 0, position: 3 }));
    assert_eq!(
        audit(&events[..3], Some(head_of(&events))),
        Err(BrokenChain::CutOff { chain: 0, position: 3 })
    );
    let noted = LedgerHead { positions: 4.into(), hash: EventHash::from_bytes([9; 32]) };
    let rewritten = BrokenChain::Rewritten { positions: 4.into() };
    assert_eq!(audit(&events, Some(noted)), Err(rewritten));

    let mut both = [events, chain(ChainHead::empty(2), (0..5).map(|_| link()))].concat();
    let noted = head_of(&both);
    assert_eq!(noted.positions.to_string(), "5.0.5");
    let cut = BrokenChain::CutOff { chain: 2, position: 3 };
    assert_eq!(audit(&both[..8], Some(noted.clone())), Err(cut));
    assert_eq!(audit(&both[5..], Some(noted)), Err(BrokenChain::CutOff { chain: 0, position: 0 }));
    both[7].kind = EventKind::Expired;
    assert_eq!(audit(&both, None), Err(BrokenChain::Link { chain: 2, position: 3 }));
    both[7].chain = 1024;
    let beyond = BrokenChain::Link { chain: 1024, position: 1 };
    assert_eq!(audit(&both, None), Err(beyond), "a ledger has fewer chains");
}

/// Other programs verify this form, so it must never change.
#[test]
fn the_hash_is_over_the_documented_bytes() {
    use sha2::{Digest, Sha256};
    let evidence = Evidence::parse(Some("v3".into()), None, Some(String::new())).unwrap();
    let date = Date::from_micros(-2).unwrap();
    let first =
        ChainHead::EMPTY.next(DialogRef::from_bytes([7; 32]), EventKind::Withdrawn, date, evidence);
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

/// The form of a head over several chains must never change either.
#[test]
fn the_hash_over_several_chains_is_over_the_documented_bytes() {
    use sha2::{Digest, Sha256};
    let head = |chain, position, byte| ChainHead {
        chain,
        position,
        hash: EventHash::from_bytes([byte; 32]),
    };
    let bytes = [
        &[0, 0, 0, 0, 0, 0, 0, 0][..],
        &[0; 32],
        &[0, 0, 0, 0, 0, 0, 1, 2],
        &[7; 32],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[0; 32],
        &[0, 0, 0, 0, 0, 0, 0, 9],
        &[8; 32],
    ]
    .concat();
    let signed = LedgerHead::of([head(3, 9, 8), head(1, 258, 7), head(5, 0, 6)]);
    assert_eq!(signed.hash.as_bytes()[..], Sha256::digest(bytes)[..]);
    let digits = signed.hash.to_string();
    assert_eq!(signed.to_string(), format!("{digits}@0.258.0.9"));
}

/// Stores keep the codes, and exports and answers have the names: neither ever changes.
#[test]
fn each_kind_of_event_has_its_code_and_its_name_for_ever() {
    let kinds = [
        (EventKind::Granted, 1, "granted"),
        (EventKind::Withdrawn, 2, "withdrawn"),
        (EventKind::Erased, 3, "erased"),
        (EventKind::Expired, 4, "expired"),
    ];
    for (kind, code, name) in kinds {
        assert_eq!((kind.code(), kind.name()), (code, name));
        assert_eq!(EventKind::from_code(code), Some(kind));
    }
    assert_eq!(kinds.map(|(kind, ..)| kind), EventKind::ALL);
    for code in [0, 5, u8::MAX] {
        assert_eq!(EventKind::from_code(code), None);
    }
}

#[test]
fn the_head_of_a_chain_is_written_as_hash_position_and_chain() {
    let digits = "07".repeat(32);
    let hash: EventHash = digits.parse().expect("64 digits");
    assert_eq!((hash, hash.to_string()), (EventHash::from_bytes([7; 32]), digits.clone()));
    assert_eq!(format!("{hash:?}"), format!("EventHash({digits})"));
    let head = |chain| ChainHead { chain, position: 12, hash }.to_string();
    assert_eq!(head(0), format!("{digits}@12"));
    assert_eq!(head(1), format!("{digits}@12/1"));
    assert_eq!(head(300), format!("{digits}@12/300"));
    for text in ["", &digits[1..], &format!("{digits}0"), &format!("x{}", &digits[1..])] {
        assert_eq!(text.parse::<EventHash>().map_err(|refusal| refusal.field), Err("hash"));
    }
}

#[test]
fn an_event_is_shown_without_its_evidence_and_says_whether_it_had_any() {
    let reference = DialogRef::from_bytes([1; 32]);
    let event =
        |evidence| ChainHead::EMPTY.next(reference, EventKind::Granted, Date::MIN, evidence);
    let proven = event(Evidence::of_import());
    let hidden = proven.clone().without_evidence();
    let expected = Event { evidence: Evidence::default(), hides_evidence: true, ..proven.clone() };
    assert_eq!(hidden, expected);
    assert_eq!(hidden.clone().without_evidence(), expected, "it was hidden before");
    let bare = event(Evidence::default());
    assert_eq!(bare.clone().without_evidence(), bare, "there is nothing to hide");
}

//! Copies of whole stores: everything arrives, a stopped copy continues, and a copy that differs is not released.

use std::ops::ControlFlow;

use async_trait::async_trait;
use dataapi_core::copy::{
    Copied, EarlyGrantRow, HeldRow, IncompleteCopy, LastEvent, Permit, Progress, Rest, Row, Rows,
    SealedRow, Source, Stage, StoreManifest, Target, copy_store,
};
use dataapi_core::{
    BrokenChain, ChainHead, Date, DialogId, Event, EventKind, Evidence, Key, KeySecret, LedgerHead,
    Limit, NewDialog, NewKey, Positions, RefKey, Roles, Stats, StoreError,
};

/// How many events or rows a [`Shelf`] hands out at once.
const AT_ONCE: usize = 2;

/// Changes the content of a store.
type Edit = fn(&mut Shelf);

/// A store that is nothing but its content.
#[derive(Clone, Debug)]
struct Shelf {
    key: RefKey,
    last_date: Date,
    /// Chain by chain.
    events: Vec<Event>,
    rows: Vec<Row>,
    rest: Rest,
    /// Counts that were kept apart from the rows. `None` to count the rows.
    stats: Option<Stats>,
    /// What an unfinished copy is of, and how far it is.
    begun: Option<([u8; 32], Progress)>,
    is_released: bool,
    /// How often the content was described.
    described: u32,
    /// Changes the content when it is described for the second time.
    meanwhile: Edit,
    /// Changes what was copied before it is compared.
    spoil: Edit,
    /// The call that fails.
    fails: Option<&'static str>,
}

impl Shelf {
    fn empty() -> Self {
        Self {
            key: RefKey::from_bytes([0; 32]),
            last_date: Date::MIN,
            events: Vec::new(),
            rows: Vec::new(),
            rest: Rest { early_grants: Vec::new(), keys: Vec::new() },
            stats: None,
            begun: None,
            is_released: false,
            described: 0,
            meanwhile: |_| {},
            spoil: |_| {},
            fails: None,
        }
    }

    fn counts(&self) -> Stats {
        let mut counts = Stats::default();
        for row in &self.rows {
            match (&row.held, row.last.map(|last| last.kind)) {
                (Some(held), Some(_)) => {
                    counts.consented += 1;
                    let language = held.dialog.language.clone();
                    *counts.consented_by_language.entry(language).or_default() += 1;
                }
                (Some(_), None) => counts.pending += 1,
                (None, Some(EventKind::Withdrawn)) => counts.withdrawn += 1,
                (None, _) => counts.erased += 1,
            }
        }
        counts
    }

    fn try_to(&self, call: &'static str) -> Result<(), StoreError> {
        if self.fails == Some(call) { Err(StoreError::backend(call)) } else { Ok(()) }
    }
}

#[async_trait]
impl Source for Shelf {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        self.try_to("manifest")?;
        self.described += 1;
        if self.described == 2 {
            (self.meanwhile)(self);
        }
        let mut heads: Vec<ChainHead> = Vec::new();
        for event in &self.events {
            heads.retain(|head| head.chain != event.chain);
            heads.push(event.head());
        }
        let stats = self.stats.clone().unwrap_or_else(|| self.counts());
        Ok(StoreManifest { key: self.key.clone(), heads, stats, last_date: self.last_date })
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        self.try_to("events")?;
        let later = self.events.iter().filter(|event| event.position > after.of(event.chain));
        Ok(later.take(limit.get().min(AT_ONCE)).cloned().collect())
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        self.try_to("rows")?;
        let start = after.first().copied().unwrap_or(0);
        let rows = self.rows.iter().skip(start.into()).take(AT_ONCE).cloned();
        let rows: Vec<_> = rows.map(SealedRow::new).collect();
        let end = start + u8::try_from(rows.len()).expect("few rows");
        Ok(Rows { rows, bookmark: vec![end] })
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        self.try_to("rest")?;
        Ok(self.rest.clone())
    }
}

#[async_trait]
impl Target for Shelf {
    async fn begin(&mut self, manifest: &StoreManifest) -> Result<Progress, IncompleteCopy> {
        self.try_to("begin")?;
        let of = *manifest.fingerprint().as_bytes();
        self.key = manifest.key.clone();
        let (begun, progress) = self.begun.get_or_insert_with(|| (of, Progress::default()));
        if *begun == of { Ok(progress.clone()) } else { Err(IncompleteCopy::Changed) }
    }

    async fn add_events(&mut self, events: &[Event], to: &Progress) -> Result<(), StoreError> {
        self.try_to("add_events")?;
        self.events.extend_from_slice(events);
        self.begun.as_mut().expect("it has begun").1 = to.clone();
        Ok(())
    }

    async fn add_rows(
        &mut self,
        rows: Vec<SealedRow>,
        to: &Progress,
        permit: &Permit,
    ) -> Result<(), StoreError> {
        self.try_to("add_rows")?;
        self.rows.extend(rows.into_iter().map(|row| row.open(permit)));
        self.begun.as_mut().expect("it has begun").1 = to.clone();
        Ok(())
    }

    async fn complete(&mut self, manifest: &StoreManifest, rest: &Rest) -> Result<(), StoreError> {
        self.try_to("complete")?;
        (self.last_date, self.rest) = (manifest.last_date, rest.clone());
        (self.spoil)(self);
        Ok(())
    }

    async fn release(&mut self) -> Result<(), StoreError> {
        self.try_to("release")?;
        self.is_released = true;
        Ok(())
    }
}

fn date(micros: i64) -> Date {
    Date::from_micros(micros).expect("it is within the bounds")
}

fn dialog(customer: &str, id: &str) -> NewDialog {
    NewDialog::parse(customer, id, "en", "Hello").expect("it is valid")
}

fn key(name: &str) -> Key {
    let new = NewKey {
        name: name.parse().expect("a name"),
        grant: "read".parse::<Roles>().expect("a role").into(),
        hash: KeySecret::from_bytes([1; 32]).hash(),
        expires: None,
    };
    new.kept(date(1))
}

/// A store with five events in two chains, seven rows in every state, a held grant and two keys.
fn full() -> Shelf {
    let key_of_store = RefKey::from_bytes([7; 32]);
    let (mut heads, mut events) = ([ChainHead::empty(0), ChainHead::empty(3)], Vec::new());
    let mut rows = Vec::new();
    let fates = [
        ("anna", "d-1", Some((0, EventKind::Granted))),
        ("ben", "d-2", None),
        ("anna", "d-3", Some((0, EventKind::Withdrawn))),
        ("zoe", "d-4", Some((1, EventKind::Erased))),
        ("ben", "d-5", Some((1, EventKind::Expired))),
        ("zoe", "d-6", None),
        ("carl", "d-7", Some((1, EventKind::Granted))),
    ];
    for (micros, (customer, id, fate)) in (10..).zip(fates) {
        let dialog = dialog(customer, id);
        let reference = key_of_store.reference(&dialog.dialog_id);
        let last = fate.map(|(chain, kind): (usize, _)| {
            let event = heads[chain].next(reference, kind, date(micros + 5), Evidence::default());
            heads[chain] = event.head();
            let Event { chain, position, kind, date, .. } = event;
            events.push(event);
            LastEvent { chain, position, kind, date }
        });
        let is_held = last.is_none_or(|last| last.kind == EventKind::Granted);
        let held =
            is_held.then(|| HeldRow { dialog, received: date(micros), is_imported: micros == 11 });
        rows.push(Row { reference, held, last });
    }
    let early = EarlyGrantRow {
        reference: key_of_store.reference(&"d-8".parse::<DialogId>().expect("an id")),
        date: date(20),
        until: date(30),
        evidence: Evidence::of_import(),
    };
    let rest = Rest { early_grants: vec![early], keys: vec![key("one"), key("two")] };
    Shelf { key: key_of_store, last_date: date(20), events, rows, rest, ..Shelf::empty() }
}

/// A row, as a value that can be compared.
fn shown(row: &Row) -> impl PartialEq + std::fmt::Debug + use<> {
    let held = row.held.clone();
    let held =
        held.map(|HeldRow { dialog, received, is_imported }| (dialog, received, is_imported));
    (row.reference, held, row.last)
}

/// Copies until the step of that number.
async fn copy_until(
    source: &mut Shelf,
    target: &mut Shelf,
    steps: usize,
) -> (Result<Copied, IncompleteCopy>, Vec<(Stage, u64, u64)>) {
    let mut told = Vec::new();
    let mut watch = |stage, done, total| {
        told.push((stage, done, total));
        assert!(told.len() < 100, "a copy of so little ends soon");
        if told.len() > steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let copied = copy_store(source, target, &mut watch).await;
    (copied, told)
}

async fn copy(source: &mut Shelf, target: &mut Shelf) -> Result<Copied, IncompleteCopy> {
    copy_until(source, target, usize::MAX).await.0
}

#[tokio::test]
async fn a_copy_has_every_event_every_row_and_every_key() {
    let (mut source, mut target) = (full(), Shelf::empty());
    let copied = copy(&mut source, &mut target).await.expect("it can be copied");
    assert!(target.is_released && !source.is_released);
    assert_eq!(target.events, source.events);
    let rows = |shelf: &Shelf| shelf.rows.iter().map(shown).collect::<Vec<_>>();
    assert_eq!(rows(&target), rows(&source));
    assert_eq!((&target.rest, target.last_date), (&source.rest, source.last_date));
    let head = LedgerHead::of([source.events[1].head(), source.events[4].head()]);
    assert_eq!(head.positions.to_string(), "2.0.0.3");
    assert_eq!(copied, Copied { stats: source.counts(), head, keys: 2 });
}

#[tokio::test]
async fn each_step_of_a_copy_is_told_with_what_is_done_and_what_there_is() {
    let (copied, told) = copy_until(&mut full(), &mut Shelf::empty(), usize::MAX).await;
    copied.expect("it can be copied");
    let steps = |stage, steps: &[u64], total| {
        steps.iter().map(|done| (stage, *done, total)).collect::<Vec<_>>()
    };
    let expected = [
        steps(Stage::Ledger, &[0, 2, 4, 5], 5),
        steps(Stage::Rows, &[0, 2, 4, 6, 7], 7),
        steps(Stage::Verification, &[0, 2, 4, 5, 5, 7, 9, 11, 12], 12),
    ];
    assert_eq!(told, expected.concat());
}

#[tokio::test]
async fn a_copy_that_is_stopped_at_any_step_continues_to_the_same_end() {
    let (mut steps, mut whole) = (0, Shelf::empty());
    copy(&mut full(), &mut whole).await.expect("it can be copied");
    loop {
        let (mut source, mut target) = (full(), Shelf::empty());
        let (stopped, told) = copy_until(&mut source, &mut target, steps).await;
        if stopped.is_ok() {
            break;
        }
        assert!(matches!(stopped, Err(IncompleteCopy::Stopped)));
        assert_eq!(told.len(), steps + 1, "nothing is done after the break");
        assert!(!target.is_released);
        let (continued, more) = copy_until(&mut full(), &mut target, usize::MAX).await;
        continued.expect("it continues");
        assert_eq!(more[0].1 > 0, steps > 0, "it does not begin again: {more:?}");
        assert!(target.is_released);
        assert_eq!((&target.events, target.rows.len()), (&whole.events, whole.rows.len()));
        steps += 1;
    }
    assert_eq!(steps, 18, "every step can be the last");
}

#[tokio::test]
async fn an_unfinished_copy_of_another_store_is_not_continued() {
    let (mut target, mut other) = (Shelf::empty(), full());
    let (stopped, _) = copy_until(&mut full(), &mut target, 6).await;
    stopped.expect_err("it was stopped");
    other.rows.pop();
    let refused = copy(&mut other, &mut target).await;
    assert!(matches!(refused, Err(IncompleteCopy::Changed)), "{refused:?}");
}

/// Copies, and changes the copy before it is compared.
async fn spoilt(spoil: Edit) -> Result<Copied, IncompleteCopy> {
    let mut target = Shelf { spoil, ..Shelf::empty() };
    let copied = copy(&mut full(), &mut target).await;
    assert_eq!(target.is_released, copied.is_ok());
    copied
}

fn held(shelf: &mut Shelf) -> &mut HeldRow {
    shelf.rows[0].held.as_mut().expect("it is held")
}

fn last(shelf: &mut Shelf) -> &mut LastEvent {
    shelf.rows[0].last.as_mut().expect("it has an event")
}

#[tokio::test]
async fn a_copy_with_other_rows_is_not_released() {
    let spoils: [(&str, Edit); 15] = [
        ("a row is missing", |copy| drop(copy.rows.pop())),
        ("a row is there twice", |copy| copy.rows.push(copy.rows[0].clone())),
        ("another row is there twice in its place", |copy| copy.rows[2] = copy.rows[3].clone()),
        ("two rows have changed their references", |copy| {
            let first = copy.rows[2].reference;
            copy.rows[2].reference = copy.rows[3].reference;
            copy.rows[3].reference = first;
        }),
        ("a dialog is gone", |copy| copy.rows[1].held = None),
        ("a text", |copy| {
            held(copy).dialog.text = NewDialog::parse("a", "b", "en", "Hallo").expect("valid").text;
        }),
        ("a language", |copy| held(copy).dialog.language = "de".parse().expect("a tag")),
        ("a customer", |copy| held(copy).dialog.customer_id = "anne".parse().expect("an id")),
        ("an id", |copy| held(copy).dialog.dialog_id = "d-9".parse().expect("an id")),
        ("where a customer ends and an id begins", |copy| {
            held(copy).dialog = dialog("annad", "-1");
        }),
        ("a date", |copy| held(copy).received = date(11)),
        ("a decision", |copy| last(copy).kind = EventKind::Withdrawn),
        ("the place of a decision", |copy| last(copy).position = 2),
        ("the chain of a decision", |copy| last(copy).chain = 3),
        ("a decision is lost", |copy| copy.rows[0].last = None),
    ];
    for (what, spoil) in spoils {
        let refused = spoilt(spoil).await;
        assert!(matches!(refused, Err(IncompleteCopy::Differs("rows"))), "{what}: {refused:?}");
    }
    spoilt(|copy| copy.rows.swap(0, 4)).await.expect("the order of the rows does not matter");
}

#[tokio::test]
async fn a_copy_with_another_ledger_is_not_released() {
    let link = |position, chain| {
        move |refused: &_| {
            matches!(refused, IncompleteCopy::Ledger(BrokenChain::Link { position: at, chain: of })
                if (*at, *of) == (position, chain))
        }
    };
    let broken = spoilt(|copy| copy.events[3].kind = EventKind::Granted).await;
    assert!(broken.as_ref().is_err_and(link(2, 3)), "{broken:?}");
    let cut = spoilt(|copy| drop(copy.events.pop())).await;
    let expected = BrokenChain::CutOff { chain: 3, position: 2 };
    assert!(matches!(&cut, Err(IncompleteCopy::Ledger(found)) if *found == expected), "{cut:?}");
    let longer = spoilt(|copy| {
        let head = copy.events[4].head();
        let reference = copy.rows[0].reference;
        copy.events.push(head.next(reference, EventKind::Erased, date(40), Evidence::default()));
    });
    let longer = longer.await;
    assert!(matches!(longer, Err(IncompleteCopy::Differs("ledger"))), "{longer:?}");
    let rewritten = spoilt(|copy| {
        let mut head = ChainHead::empty(3);
        for event in &mut copy.events[2..] {
            *event = head.next(event.reference, event.kind, date(41), Evidence::default());
            head = event.head();
        }
    });
    let rewritten = rewritten.await;
    let is_told = matches!(rewritten, Err(IncompleteCopy::Ledger(BrokenChain::Rewritten { .. })));
    assert!(is_told, "{rewritten:?}");
}

#[tokio::test]
async fn a_copy_that_differs_apart_from_its_rows_and_ledger_is_not_released() {
    let spoils: [(&str, Edit); 6] = [
        ("counts", |copy| copy.stats = Some(Stats { pending: 1, ..copy.counts() })),
        ("counts", |copy| {
            let mut stats = copy.counts();
            stats.consented_by_language.clear();
            copy.stats = Some(stats);
        }),
        ("reference key", |copy| copy.key = RefKey::from_bytes([8; 32])),
        ("dates", |copy| copy.last_date = date(19)),
        ("held decisions or keys", |copy| drop(copy.rest.keys.pop())),
        ("held decisions or keys", |copy| copy.rest.early_grants[0].until = date(31)),
    ];
    for (what, spoil) in spoils {
        let refused = spoilt(spoil).await;
        let told = matches!(refused, Err(IncompleteCopy::Differs(told)) if told == what);
        assert!(told, "{what}: {refused:?}");
    }
    spoilt(|copy| copy.last_date = date(21)).await.expect("a new store can be ahead");
}

#[tokio::test]
async fn a_source_that_counts_other_rows_than_it_has_is_not_copied() {
    for pending in [1, 3] {
        let mut source = full();
        source.stats = Some(Stats { pending, ..source.counts() });
        let refused = copy(&mut source, &mut Shelf::empty()).await;
        assert!(matches!(refused, Err(IncompleteCopy::Differs("number of rows"))), "{refused:?}");
    }
}

/// The lock that keeps others from writing can be lost on the way.
#[tokio::test]
async fn a_copy_of_what_has_changed_meanwhile_is_not_released() {
    let changes: [Edit; 7] = [
        |source| {
            let head = source.events[4].head();
            let reference = source.rows[5].reference;
            let date = date(40);
            source.events.push(head.next(reference, EventKind::Granted, date, Evidence::default()));
        },
        |source| source.key = RefKey::from_bytes([8; 32]),
        |source| source.rows.push(source.rows[1].clone()),
        |source| source.stats = Some(Stats { pending: 9, ..source.counts() }),
        |source| source.stats = Some(Stats { consented: 9, ..source.counts() }),
        |source| source.stats = Some(Stats { withdrawn: 9, ..source.counts() }),
        |source| source.stats = Some(Stats { erased: 9, ..source.counts() }),
    ];
    for (number, meanwhile) in changes.into_iter().enumerate() {
        let (mut source, mut target) = (Shelf { meanwhile, ..full() }, Shelf::empty());
        let refused = copy(&mut source, &mut target).await;
        assert!(matches!(refused, Err(IncompleteCopy::Changed)), "{number}: {refused:?}");
        assert!(!target.is_released);
    }
}

#[tokio::test]
async fn an_error_tells_on_which_side_it_was_and_releases_nothing() {
    for call in ["manifest", "events", "rows", "rest"] {
        let (mut source, mut target) = (Shelf { fails: Some(call), ..full() }, Shelf::empty());
        let failed = copy(&mut source, &mut target).await;
        assert!(matches!(failed, Err(IncompleteCopy::Source(_))), "{call}: {failed:?}");
        assert!(!target.is_released);
    }
    for call in [
        "begin",
        "add_events",
        "add_rows",
        "complete",
        "manifest",
        "events",
        "rows",
        "rest",
        "release",
    ] {
        let mut target = Shelf { fails: Some(call), ..Shelf::empty() };
        let failed = copy(&mut full(), &mut target).await;
        assert!(matches!(failed, Err(IncompleteCopy::Target(_))), "{call}: {failed:?}");
        assert!(!target.is_released);
    }
}

#[tokio::test]
async fn a_manifest_counts_its_rows_and_has_room_for_a_chain_above_those_in_use() {
    let manifest = full().manifest().await.expect("it can be described");
    let stats =
        Stats { pending: 1, consented: 20, withdrawn: 300, erased: 4_000, ..<_>::default() };
    let manifest = StoreManifest { stats, ..manifest };
    assert_eq!(manifest.rows(), 4_321);
    assert_eq!(manifest.next_chain(), 4);
    let empty = Shelf::empty().manifest().await.expect("it can be described");
    assert_eq!((empty.rows(), empty.next_chain()), (0, 0));
    let first =
        StoreManifest { heads: vec![ChainHead { position: 1, ..ChainHead::EMPTY }], ..empty };
    assert_eq!(first.next_chain(), 1);
}

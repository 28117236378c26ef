//! Copies of a whole store: they give the same answers, continue its ledger, and are no store until they are complete.
//!
//! `DATAAPI_COPY_SEED` sets the random histories.

mod scene;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataapi_conformance::ManualClock;
use dataapi_core::copy::{
    Copied, HeldRow, IncompleteCopy, LastEvent, Rest, Row, Rows, SealedRow, Source, Stage,
    StoreManifest, copy_store,
};
use dataapi_core::{
    Audit, ChainHead, Clock, ConsentState, Date, Decision, DialogId, DialogStore, Dialogs,
    EarlyDecision, Event, EventKind, Evidence, Filter, ImportedDialog, Keys, Ledger, Limit,
    NewDialog, PageRequest, Positions, Purge, Reach, RefKey, Start, Stats, StoreError,
    SubjectRequest, Upkeep, Window,
};
use dataapi_sqlite::{
    CopySource, CopyTarget, OpenError, Options, Since, SqliteStore, check, restore,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::scene::{choices, copy_from, create_keys, go_on, since};

const HOLD: Duration = Duration::from_secs(15 * 60);
const IDS: usize = 120;

struct Scene {
    folder: TempDir,
    clock: ManualClock,
    choices: ChaCha8Rng,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::starting_at(Date::from_micros(1_700_000_000_000_000).unwrap()),
            choices: choices("DATAAPI_COPY_SEED"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str) -> SqliteStore {
        let clock = Arc::new(self.clock.clone());
        SqliteStore::open(&self.path(name), Options { clock, ..Options::default() }).unwrap()
    }

    async fn copy(&self, from: &str, to: &str) -> Result<Copied, IncompleteCopy> {
        self.copy_until(from, to, usize::MAX).await
    }

    /// Copies, and stops after `steps` steps.
    async fn copy_until(
        &self,
        from: &str,
        to: &str,
        steps: usize,
    ) -> Result<Copied, IncompleteCopy> {
        let mut source = CopySource::open(&self.path(from)).unwrap();
        let mut target = CopyTarget::open(&self.path(to)).unwrap();
        let mut left = steps;
        let mut watch = |_: Stage, done: u64, total: u64| {
            assert!(done <= total, "{done} of {total}");
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        copy_store(&mut source, &mut target, &mut watch).await
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.choices.next_u32()).unwrap() % end
    }

    fn step(&mut self) -> Step {
        let name = self.below(IDS);
        let past = Duration::from_secs(self.below(60) as u64);
        match self.below(40) {
            0..14 => Step::Insert(name),
            14..16 => Step::Import(name, self.below(2) == 0),
            16..25 => Step::Decide(name, Decision::Granted),
            25..29 => Step::Decide(name, Decision::Withdrawn),
            29..33 => Step::Early(name, Decision::Granted),
            33 => Step::Early(name, Decision::Withdrawn),
            34..36 => Step::Erase(name),
            36 => Step::EraseCustomer(name),
            37 => Step::Purge(Purge::Pending, past, 2),
            38 => Step::Purge(Purge::Consented, past, 1),
            _ => Step::Purge(Purge::Tombstones, past, 1 + u32::try_from(self.below(4)).unwrap()),
        }
    }

    /// Takes the same random steps on each of these stores. They must have the same outcomes.
    async fn live_on(&mut self, stores: &[&SqliteStore], steps: usize) {
        for _ in 0..steps {
            let step = self.step();
            let mut outcomes = Vec::new();
            for store in stores {
                outcomes.push(step.take(*store, self.clock.now()).await);
            }
            assert!(
                outcomes.iter().all(|outcome| *outcome == outcomes[0]),
                "{step:?}: {outcomes:#?}"
            );
            if self.below(3) == 0 {
                self.clock.advance(Duration::from_millis(700));
            }
        }
    }
}

#[derive(Debug)]
enum Step {
    Insert(usize),
    Import(usize, bool),
    Decide(usize, Decision),
    Early(usize, Decision),
    Erase(usize),
    EraseCustomer(usize),
    Purge(Purge, Duration, u32),
}

impl Step {
    /// Takes the step, and returns the outcome without the event's place in the ledger.
    async fn take(&self, store: &dyn DialogStore, now: Date) -> String {
        let told =
            |event: &Event| (event.reference, event.kind, event.date, event.evidence.clone());
        match *self {
            Self::Insert(name) => format!("{:?}", store.insert(dialog(name)).await),
            Self::Import(name, consented) => {
                let date = Some(now);
                let imported = ImportedDialog { dialog: dialog(name), date, consented };
                format!("{:?}", store.import(vec![imported]).await)
            }
            Self::Decide(name, decision) => {
                let answer = store.decide(id(name), decision, evidence(name)).await;
                format!("{:?}", answer.map(|receipt| told(&receipt.event)))
            }
            Self::Early(name, decision) => {
                match store.decide_early(id(name), decision, evidence(name), HOLD).await {
                    Ok(EarlyDecision::Recorded(receipt)) => format!("{:?}", told(&receipt.event)),
                    other => format!("{other:?}"),
                }
            }
            Self::Erase(name) => {
                format!("{:?}", store.erase_dialog(&dialog(name).customer_id, &id(name)).await)
            }
            Self::EraseCustomer(name) => {
                format!("{:?}", store.erase_customer(&dialog(name).customer_id).await)
            }
            Self::Purge(which, past, at_most) => {
                let before =
                    Date::from_micros(now.as_micros() - i64::try_from(past.as_micros()).unwrap())
                        .unwrap();
                let due = store.purgeable(which, before).await.unwrap();
                let taken = store.purge(which, before, at_most).await.unwrap();
                assert_eq!(taken, due.min(at_most.into()), "as many as it reported as due");
                format!("{taken}")
            }
        }
    }
}

fn id(name: usize) -> DialogId {
    format!("d-{name}").parse().unwrap()
}

fn dialog(name: usize) -> NewDialog {
    let language = ["en", "de", "pt-BR", "EN"][name % 4];
    let text = format!("words of {name} {}", "and more ".repeat(name % 50));
    NewDialog::parse(&format!("customer {}", name % 17), &format!("d-{name}"), language, &text)
        .unwrap()
}

fn evidence(name: usize) -> Evidence {
    Evidence::parse(Some(format!("v{}", name % 3)), Some("button".into()), None).unwrap()
}

/// Makes a closed store with a history.
async fn fill(scene: &mut Scene, name: &str, steps: usize) {
    let store = scene.open(name);
    scene.live_on(&[&store], steps).await;
    // From here on nothing is random, so that every store has each kind of row.
    for name in 0..6 {
        let _ = store.erase_dialog(&dialog(name).customer_id, &id(name)).await;
    }
    for new in 1_000..1_012 {
        store.insert(dialog(new)).await.unwrap();
        if new % 2 == 0 {
            store.decide(id(new), Decision::Granted, evidence(new)).await.unwrap();
        }
    }
    store.decide(id(1_002), Decision::Withdrawn, evidence(2)).await.unwrap();
    store.erase_dialog(&dialog(1_004).customer_id, &id(1_004)).await.unwrap();
    store.decide_early(id(2_000), Decision::Granted, evidence(7), HOLD).await.unwrap();
    create_keys(&store, &["analyst", "left"].map(|key| format!("{key}-{name}"))).await;
    store.revoke_key(&format!("left-{name}").parse().unwrap()).await.unwrap();
    scene.clock.advance(Duration::from_secs(1));
}

async fn ledger(store: &dyn DialogStore) -> Vec<Event> {
    // Few at a time, so that reads end within chains and between them.
    let events = scene::ledger(store, Limit::new(7).unwrap()).await;
    assert_eq!(
        store.events(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap(),
        events
    );
    events
}

/// A store's answers to all kinds of reads.
async fn answers(store: &dyn DialogStore) -> Vec<String> {
    let mut answers = vec![format!("{:?}", store.stats().await.unwrap())];
    let filters = ["en", "DE", "pt-BR"].map(|tag| Filter::default().language(tag.parse().unwrap()));
    let customer = dialog(3).customer_id;
    let of_one = Filter::default().customer(customer.clone());
    for filter in [Filter::default(), of_one].into_iter().chain(filters) {
        let mut window = Window { limit: Limit::new(9).unwrap(), ..Window::default() };
        loop {
            let request = PageRequest::new(filter.clone(), window.clone()).unwrap();
            let page = store.query(&request).await.unwrap();
            answers.push(format!("{:?} of {:?}", page.items, page.total));
            let Some(next) = page.next else { break };
            window.start = Start::After(next);
        }
    }
    let request = SubjectRequest::new(customer, Window::default()).unwrap();
    let page = store.subject_data(&request).await.unwrap();
    answers.push(format!("{:?} of {:?}", page.items, page.total));
    for name in (0..IDS).chain(1_000..1_012).chain([2_000]) {
        let status = match store.consent(&id(name)).await {
            Ok(status) => {
                let event = status.event.map(|event| (event.kind, event.date, event.evidence));
                format!("{name}: {:?} {} {event:?}", status.state, status.date)
            }
            Err(StoreError::NotFound) => format!("{name}: never"),
            Err(error) => panic!("{error}"),
        };
        answers.push(status);
    }
    answers.push(format!("{:?}", store.keys().await.unwrap()));
    let mut audit = Audit::new(Some(store.ledger_head().await.unwrap()));
    let events = ledger(store).await;
    for event in &events {
        audit.check(event).unwrap();
    }
    assert_eq!(audit.finish().unwrap(), store.ledger_head().await.unwrap());
    let changes = store.changes(&Positions::START, Limit::MAX, &Reach::default()).await.unwrap();
    let mut readable: Vec<_> = changes
        .iter()
        .filter_map(|change| change.dialog.as_ref())
        .map(|it| format!("{it:?}"))
        .collect();
    assert_eq!(readable.len() as u64, store.stats().await.unwrap().consented);
    readable.sort();
    answers.extend(readable);
    answers
}

#[tokio::test]
async fn a_copy_answers_like_its_source_and_so_does_a_copy_of_it() {
    for _ in 0..4 {
        let mut scene = Scene::new();
        fill(&mut scene, "a.db", 300).await;
        let copied = scene.copy("a.db", "b.db").await.unwrap();
        let (a, b) = (scene.open("a.db"), scene.open("b.db"));
        assert_eq!(answers(&b).await, answers(&a).await);
        assert_eq!(ledger(&b).await, ledger(&a).await, "the events are the same");
        assert_eq!(b.ledger_head().await.unwrap(), a.ledger_head().await.unwrap());
        assert_eq!(copied.head, b.ledger_head().await.unwrap());
        assert_eq!((copied.stats, copied.keys), (b.stats().await.unwrap(), 2));
        assert_eq!(b.reference(&id(1)), a.reference(&id(1)));

        scene.live_on(&[&a, &b], 150).await;
        assert_eq!(answers(&b).await, answers(&a).await, "it continues as the source would");
        let noted = b.ledger_head().await.unwrap();
        assert_eq!(noted.positions.of(0), copied.head.positions.of(0));
        assert!(noted.positions.of(1) > 0, "in its own chain");
        drop(b);
        assert_eq!(check(&scene.path("b.db")).unwrap(), []);

        scene.copy("b.db", "c.db").await.unwrap();
        let c = scene.open("c.db");
        assert_eq!(c.ledger_head().await.unwrap(), noted);
        assert_eq!(answers(&c).await, answers(&a).await);
        scene.live_on(&[&a, &c], 150).await;
        assert_eq!(answers(&c).await, answers(&a).await);
        assert!(c.ledger_head().await.unwrap().positions.of(2) > 0);
        drop(c);
        assert_eq!(check(&scene.path("c.db")).unwrap(), []);
        let mut audit = Audit::new(Some(noted));
        let c = scene.open("c.db");
        for event in &ledger(&c).await {
            audit.check(event).unwrap();
        }
        audit.finish().expect("the copy of the copy has the head that was noted");
    }
}

#[tokio::test]
async fn decisions_on_copied_dialogs_are_events_of_the_new_chain() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 100).await;
    let end = scene.copy("a.db", "b.db").await.unwrap().head.positions;
    let b = scene.open("b.db");
    let yes = b.decide(id(1_001), Decision::Granted, evidence(1)).await.unwrap();
    let no = b.decide(id(1_000), Decision::Withdrawn, evidence(1)).await.unwrap();
    let again = b.decide(id(1_006), Decision::Granted, evidence(1)).await.unwrap();
    assert_eq!((yes.event.chain, yes.event.position), (1, 1));
    assert_eq!((no.event.chain, no.event.position), (1, 2));
    assert_eq!(again.event.chain, 0, "the first receipt is kept");
    assert!(b.insert(dialog(2_000)).await.unwrap().is_consented, "by the held grant");
    assert!(matches!(b.insert(dialog(1_002)).await, Err(StoreError::Gone)));
    assert!(matches!(
        b.decide(id(1_004), Decision::Granted, evidence(1)).await,
        Err(StoreError::Conflict)
    ));
    let new = b.events(&end, Limit::MAX, &Reach::default()).await.unwrap();
    let kinds: Vec<_> = new.iter().map(|event| (event.chain, event.position, event.kind)).collect();
    let [granted, withdrawn] = [EventKind::Granted, EventKind::Withdrawn];
    assert_eq!(kinds, [(1, 1, granted), (1, 2, withdrawn), (1, 3, granted)]);
    let far = "99999999999999999999.1".parse().unwrap();
    let rest = b.events(&far, Limit::MAX, &Reach::default()).await.unwrap();
    assert_eq!(
        rest,
        new[1..],
        "a position beyond the end of a chain does not reach into the next one"
    );
    assert!(b.changes(&far, Limit::MAX, &Reach::default()).await.unwrap()[1].dialog.is_some());
}

#[tokio::test]
async fn tombstones_of_all_chains_are_forgotten_in_time() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 200).await;
    scene.copy("a.db", "b.db").await.unwrap();
    let b = scene.open("b.db");
    b.decide(id(1_000), Decision::Withdrawn, evidence(1)).await.unwrap();
    scene.clock.advance(Duration::from_secs(5));
    let now = scene.clock.now();
    let stats = b.stats().await.unwrap();
    let gone = stats.withdrawn + stats.erased;
    assert_eq!(b.purgeable(Purge::Tombstones, now).await.unwrap(), gone);
    let mut left = gone;
    while left > 0 {
        let taken = b.purge(Purge::Tombstones, now, 3).await.unwrap();
        assert_eq!(taken, left.min(3));
        left -= taken;
    }
    assert_eq!(b.purge(Purge::Tombstones, now, 3).await.unwrap(), 0);
    let stats = b.stats().await.unwrap();
    assert_eq!((stats.withdrawn, stats.erased), (0, 0));
    assert!(b.insert(dialog(1_002)).await.is_ok(), "as if its id was never used");
    drop(b);
    assert_eq!(check(&scene.path("b.db")).unwrap(), []);
    scene.copy("b.db", "c.db").await.unwrap();
    assert_eq!(answers(&scene.open("c.db")).await, answers(&scene.open("b.db")).await);
}

#[tokio::test]
async fn a_copy_can_be_backed_up_and_restored() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 200).await;
    scene.copy("a.db", "b.db").await.unwrap();
    let b = scene.open("b.db");
    b.decide(id(1_001), Decision::Granted, evidence(1)).await.unwrap();
    b.decide(id(1_000), Decision::Withdrawn, evidence(1)).await.unwrap();
    let made = b.back_up(&scene.path("backup"), &mut go_on()).unwrap();
    assert_eq!(made.head, b.ledger_head().await.unwrap());
    assert_eq!(check(&scene.path("backup")).unwrap(), []);
    {
        let copy = scene.open("backup");
        let [mut copied, mut own] = [answers(&copy).await, answers(&b).await];
        for keys in [&mut copied, &mut own] {
            keys.retain(|answer| !answer.contains("analyst"));
        }
        assert_eq!(copied, own, "the same but for its keys, which are revoked");
    }

    b.decide(id(1_006), Decision::Withdrawn, evidence(1)).await.unwrap();
    b.decide(id(1_003), Decision::Granted, evidence(1)).await.unwrap();
    let events = ledger(&b).await;
    let place = scene.path("restored.db");
    let back = restore(&scene.path("backup"), &place, since(events.clone()), &mut go_on()).unwrap();
    assert_eq!(back.gone, 1);
    let restored = scene.open("restored.db");
    assert_eq!(restored.ledger_head().await.unwrap(), b.ledger_head().await.unwrap());
    assert_eq!(restored.stats().await.unwrap(), b.stats().await.unwrap());
    assert_eq!(restored.consent(&id(1_003)).await.unwrap().state, ConsentState::Granted);
    assert!(matches!(restored.insert(dialog(1_006)).await, Err(StoreError::Gone)));
    drop(restored);
    assert_eq!(check(&place).unwrap(), []);

    let refused = scene.path("refused.db");
    let live = |event: &&Event| event.chain == 1;
    let of_live: Vec<_> = events.iter().filter(live).cloned().collect();
    let longer = |chain: u16| {
        let end = events.iter().rfind(|event| event.chain == chain);
        let head = end.map_or(ChainHead::empty(chain), Event::head);
        let added = head.next(events[0].reference, EventKind::Erased, Date::MIN, evidence(1));
        [&events[..], &[added]].concat()
    };
    for (what, wrong) in [
        ("without the copied chain", of_live),
        ("with more in the copied chain", longer(0)),
        ("with an unknown chain", longer(2)),
    ] {
        let outcome = restore(&scene.path("backup"), &refused, since(wrong), &mut go_on());
        assert!(
            matches!(outcome, Err(dataapi_sqlite::BackupError::Ledger(_))),
            "{what}: {outcome:?}"
        );
        assert!(!refused.exists());
    }

    // Into an existing store.
    let lost = b.purge(Purge::Consented, scene.clock.now(), 0).await.unwrap();
    assert_eq!(lost, 0);
    drop(b);
    Connection::open(scene.path("b.db"))
        .unwrap()
        .execute_batch(
            "DELETE FROM dialog WHERE dialog_id IN ('d-1001', 'd-1008', 'd-1009');
             DELETE FROM consented_count;
             UPDATE store SET pending = pending - 1;
             INSERT INTO consented_count SELECT '', '', count(*) FROM dialog WHERE granted IS NOT NULL;
             INSERT INTO consented_count SELECT customer_id, '', count(*) FROM dialog
                 WHERE granted IS NOT NULL GROUP BY customer_id;
             INSERT INTO consented_count SELECT '', lower(language), count(*) FROM dialog
                 WHERE granted IS NOT NULL GROUP BY lower(language);
             INSERT INTO consented_count SELECT customer_id, lower(language), count(*) FROM dialog
                 WHERE granted IS NOT NULL GROUP BY customer_id, lower(language);",
        )
        .unwrap();
    let b = scene.open("b.db");
    let back = b.put_back(&scene.path("backup"), &mut go_on()).await.unwrap();
    assert_eq!((back.restored, back.gone), (3, 1));
    let old = scene.open("a.db").back_up(&scene.path("old"), &mut go_on()).unwrap();
    assert_eq!(old.head.positions.of(1), 0);
    let back = b.put_back(&scene.path("old"), &mut go_on()).await.unwrap();
    assert_eq!(back.restored, 0, "a backup from before the copy is of the same store");
    assert_eq!(b.consent(&id(1_008)).await.unwrap().event.unwrap().chain, 0);
    answers(&b).await;
    drop(b);
    assert_eq!(check(&scene.path("b.db")).unwrap(), []);
}

#[tokio::test]
async fn a_copy_that_was_stopped_after_any_step_goes_on_to_the_same_end() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 250).await;
    // More than one step of each kind, long texts among them.
    {
        let a = scene.open("a.db");
        for number in 0..150 {
            let text = "long ".repeat(13_000);
            let dialog = NewDialog::parse("anna", &format!("l-{number}"), "en", &text).unwrap();
            let imported = ImportedDialog { dialog, date: None, consented: number % 2 == 0 };
            a.import(vec![imported]).await.unwrap();
        }
    }
    let expected = answers(&scene.open("a.db")).await;
    let mut steps = 1;
    loop {
        let name = format!("copy-{steps}.db");
        match scene.copy_until("a.db", &name, steps).await {
            Err(IncompleteCopy::Stopped) => {
                let unfinished =
                    SqliteStore::open(&scene.path(&name), Options::default()).unwrap_err();
                assert!(matches!(unfinished, OpenError::Unfinished), "{unfinished:?}");
                assert!(matches!(check(&scene.path(&name)), Err(OpenError::Unfinished)));
                assert!(matches!(CopySource::open(&scene.path(&name)), Err(OpenError::Unfinished)));
                scene.copy("a.db", &name).await.unwrap();
            }
            outcome => {
                outcome.unwrap();
                break;
            }
        }
        let store = scene.open(&name);
        assert_eq!(answers(&store).await, expected, "after {steps} steps");
        drop(store);
        assert_eq!(check(&scene.path(&name)).unwrap(), []);
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
    // Stopped more than once.
    let mut runs = 0;
    while let Err(stopped) = scene.copy_until("a.db", "slow.db", 5).await {
        assert!(matches!(stopped, IncompleteCopy::Stopped), "{stopped:?}");
        runs += 1;
        if runs > 3 {
            scene.copy("a.db", "slow.db").await.unwrap();
            break;
        }
    }
    assert_eq!(answers(&scene.open("slow.db")).await, expected);
}

#[tokio::test]
async fn what_a_crash_leaves_at_any_step_is_gone_on_with() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 200).await;
    let expected = answers(&scene.open("a.db")).await;
    let folder = scene.folder.path().to_owned();
    let mut steps = 0;
    {
        let mut source = CopySource::open(&scene.path("a.db")).unwrap();
        let mut target = CopyTarget::open(&scene.path("b.db")).unwrap();
        let mut watch = |_, _, _| {
            steps += 1;
            for end in ["", "-wal"] {
                let to = folder.join(format!("crashed-{steps}.db{end}"));
                std::fs::copy(folder.join(format!("b.db{end}")), to).unwrap();
            }
            ControlFlow::Continue(())
        };
        copy_store(&mut source, &mut target, &mut watch).await.unwrap();
    }
    assert!(steps > 5, "{steps}");
    for step in 1..=steps {
        let name = format!("crashed-{step}.db");
        let refused = SqliteStore::open(&scene.path(&name), Options::default());
        assert!(matches!(refused, Err(OpenError::Unfinished)), "{refused:?}");
        scene.copy("a.db", &name).await.unwrap();
        assert_eq!(answers(&scene.open(&name)).await, expected, "after {step} steps");
        assert_eq!(check(&scene.path(&name)).unwrap(), []);
    }
}

#[tokio::test]
async fn a_source_that_changed_meanwhile_is_refused() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 100).await;
    let stopped = scene.copy_until("a.db", "b.db", 4).await;
    assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");
    scene.open("a.db").insert(dialog(3_000)).await.unwrap();
    let changed = scene.copy("a.db", "b.db").await;
    assert!(matches!(changed, Err(IncompleteCopy::Changed)), "{changed:?}");
    fill(&mut scene, "other.db", 100).await;
    let other = scene.copy("other.db", "b.db").await;
    assert!(matches!(other, Err(IncompleteCopy::Changed)), "{other:?}");
}

#[tokio::test]
async fn a_copy_that_was_changed_by_hand_is_not_released() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 200).await;
    for (number, change) in [
        "UPDATE dialog SET text = text || '!' WHERE seq = 3",
        "UPDATE dialog SET granted = granted + 1 WHERE seq = (SELECT max(seq) FROM dialog WHERE granted > 0)",
        "DELETE FROM dialog WHERE seq = 3",
        "DELETE FROM tombstone WHERE ref = (SELECT min(ref) FROM tombstone)",
        "UPDATE event SET date = date + 1 WHERE position = 5",
        "UPDATE event SET notice = 'v9' WHERE position = (SELECT max(position) FROM event)",
        "DELETE FROM event WHERE position = (SELECT max(position) FROM event)",
        "UPDATE store SET ref_key = zeroblob(32)",
        "UPDATE copied_chain SET last = last - 1",
        "UPDATE copied_chain SET last = last + 1",
        "UPDATE copy SET bookmark = x'6400'",
        "UPDATE copy SET positions = 'x'",
        "UPDATE copy SET copied = copied - 1",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("copy-{number}.db");
        // Everything is copied, and nothing is compared yet.
        let mut steps = 2;
        while rows_there(&scene.path(&name)) == 0 {
            let stopped = scene.copy_until("a.db", &name, steps).await;
            assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");
            steps += 1;
        }
        let stopped = scene.copy_until("a.db", &name, 5).await;
        assert!(matches!(stopped, Err(IncompleteCopy::Stopped)), "{stopped:?}");
        let changed =
            Connection::open(scene.path(&name)).unwrap().execute(change, ()).unwrap();
        assert_eq!(changed, 1, "{change}");
        let mut source = CopySource::open(&scene.path("a.db")).unwrap();
        let outcome = match CopyTarget::open(&scene.path(&name)) {
            Ok(mut target) => {
                let mut watch = |_, _, _| ControlFlow::Continue(());
                copy_store(&mut source, &mut target, &mut watch).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        assert!(outcome.is_err(), "{change}: {outcome:?}");
        let refused = SqliteStore::open(&scene.path(&name), Options::default());
        assert!(matches!(refused, Err(OpenError::Unfinished)), "{change}");
    }
}

fn rows_there(path: &Path) -> i64 {
    let Ok(_) = std::fs::metadata(path) else { return 0 };
    let connection = Connection::open(path).unwrap();
    connection.query_row("SELECT count(*) FROM tombstone", (), |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn what_is_at_the_place_already_is_left_alone() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 60).await;
    let before = std::fs::read(scene.path("a.db")).unwrap();
    let refused = CopyTarget::open(&scene.path("a.db"));
    assert!(matches!(refused, Err(OpenError::IsThere)), "{refused:?}");
    assert_eq!(std::fs::read(scene.path("a.db")).unwrap(), before);
    assert_eq!(scene.folder.path().read_dir().unwrap().count(), 1, "nothing is beside it");

    std::fs::write(scene.path("notes"), "Dear diary, this is no database. ".repeat(100)).unwrap();
    let refused = CopyTarget::open(&scene.path("notes"));
    assert!(matches!(refused, Err(OpenError::NotAStore)), "{refused:?}");
    std::fs::write(scene.path("empty"), "").unwrap();
    assert!(CopyTarget::open(&scene.path("empty")).is_err());
    std::fs::write(scene.path("log.db-wal"), "of another store").unwrap();
    let refused = CopyTarget::open(&scene.path("log.db"));
    assert!(matches!(refused, Err(OpenError::IsThere)), "{refused:?}");
    assert!(!scene.path("log.db").exists());
    let missing = CopySource::open(&scene.path("missing.db"));
    assert!(matches!(missing, Err(OpenError::Missing)), "{missing:?}");
}

#[tokio::test]
async fn two_do_not_copy_to_one_place_at_once() {
    let scene = Scene::new();
    let first = CopyTarget::open(&scene.path("b.db")).unwrap();
    let second = CopyTarget::open(&scene.path("b.db"));
    assert!(matches!(second, Err(OpenError::Busy)), "{second:?}");
    drop(first);
    assert!(CopyTarget::open(&scene.path("b.db")).is_ok());
}

#[tokio::test]
async fn while_a_store_is_copied_it_can_be_read_and_not_written_to() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 60).await;
    let store = scene.open("a.db");
    let expected = answers(&store).await;
    let mut source = CopySource::open(&scene.path("a.db")).unwrap();
    let refused = store.insert(dialog(3_000)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(answers(&store).await, expected);
    let manifest = source.manifest().await.unwrap();
    assert_eq!(manifest.stats, store.stats().await.unwrap());
    assert_eq!(manifest.head(), store.ledger_head().await.unwrap());
    let second = CopySource::open(&scene.path("a.db"));
    assert!(matches!(second, Err(OpenError::Busy)), "{second:?}");
    drop(source);
    store.insert(dialog(3_000)).await.unwrap();
    store.scrub().await.unwrap();
}

#[tokio::test]
async fn a_finished_copy_is_one_private_file_and_keeps_nothing_of_what_is_erased_then() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 200).await;
    scene.copy("a.db", "b.db").await.unwrap();
    let mut names: Vec<_> = scene
        .folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a.db", "b.db"]);
    let rights = scene.path("b.db").metadata().unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    let b = scene.open("b.db");
    let held = |name: usize| memchr::memmem::Finder::new(&format!("words of {name} ")).into_owned();
    for name in (0..IDS).chain(1_000..1_012) {
        let _ = b.decide(id(name), Decision::Withdrawn, evidence(1)).await;
    }
    b.scrub().await.unwrap();
    for file in dataapi_sqlite::files(&scene.path("b.db")).unwrap() {
        let bytes = std::fs::read(&file).unwrap();
        assert!(held(1_001).find(&bytes).is_none());
        let left = memchr::memmem::find(&bytes, b"words of ");
        assert_eq!(left, None, "{}", file.display());
    }
}

#[tokio::test]
async fn a_copy_has_the_schema_of_any_store() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 50).await;
    scene.copy("a.db", "b.db").await.unwrap();
    let schema = |name: &str| {
        let connection = Connection::open(scene.path(name)).unwrap();
        let mut select =
            connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").unwrap();
        let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<Vec<(String, Option<String>)>, _>>().unwrap()
    };
    assert_eq!(schema("b.db"), schema("a.db"));
}

/// A source with several chains and gaps between their numbers, like a store that is spread over shards.
struct Spread {
    manifest: StoreManifest,
    events: Vec<Event>,
    rows: Vec<Row>,
}

impl Spread {
    fn new() -> Self {
        use EventKind::{Erased, Expired, Granted, Withdrawn};
        let key = RefKey::from_bytes([9; 32]);
        let at = |second: i64| Date::from_micros(second * 1_000_000).unwrap();
        let mut spread = Self {
            manifest: StoreManifest {
                key: key.clone(),
                heads: Vec::new(),
                stats: Stats::default(),
                last_date: at(100),
            },
            events: Vec::new(),
            rows: Vec::new(),
        };
        // The events of each chain, with their dialogs.
        let chains: [(u16, &[(usize, EventKind)]); 3] = [
            // The tombstones of 1 and 2 are forgotten, and the id of 1 was used again.
            (0, &[(1, Erased), (2, Expired), (3, Granted), (4, Withdrawn)]),
            (2, &[(1, Granted), (1, Withdrawn), (5, Granted)]),
            // All tombstones are forgotten.
            (7, &[(6, Erased), (7, Erased)]),
        ];
        for (number, chain) in chains {
            let mut end = ChainHead::empty(number);
            for (second, (name, kind)) in (1..).zip(chain) {
                let reference = key.reference(&id(*name));
                let event = end.next(reference, *kind, at(second), evidence(*name));
                end = event.head();
                let Event { chain, position, kind, date, .. } = event;
                let last = Some(LastEvent { chain, position, kind, date });
                let is_last = [(0, 3), (0, 4), (2, 2), (2, 3)].contains(&(chain, position));
                if is_last {
                    let received = at(0);
                    let held = HeldRow { dialog: dialog(*name), received, is_imported: false };
                    let held = (kind == Granted).then_some(held);
                    spread.rows.push(Row { reference, held, last });
                }
                spread.events.push(event);
            }
            spread.manifest.heads.push(end);
        }
        spread.manifest.stats = Stats { consented: 2, withdrawn: 2, erased: 0, ..Stats::default() };
        for name in [3, 5] {
            let language = dialog(name).language;
            *spread.manifest.stats.consented_by_language.entry(language).or_default() += 1;
        }
        spread
    }
}

#[async_trait]
impl Source for Spread {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        Ok(self.manifest.clone())
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        let is_new = |event: &&Event| event.position > after.of(event.chain);
        Ok(self.events.iter().filter(is_new).take(limit.get()).cloned().collect())
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        let next = after.len();
        let rows = self.rows.get(next).cloned().map(SealedRow::new);
        Ok(Rows { rows: rows.into_iter().collect(), bookmark: vec![0; next + 1] })
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        Ok(Rest { early_grants: Vec::new(), keys: Vec::new() })
    }
}

#[tokio::test]
async fn the_chains_of_a_spread_store_keep_their_numbers() {
    let scene = Scene::new();
    let mut source = Spread::new();
    let copied = copy_from(&mut source, &scene.path("b.db")).await.unwrap();
    assert_eq!(check(&scene.path("b.db")).unwrap(), []);
    let b = scene.open("b.db");
    assert_eq!(copied.head, source.manifest.head());
    assert_eq!(b.ledger_head().await.unwrap(), source.manifest.head());
    assert_eq!(ledger(&b).await, source.events);
    assert_eq!(b.stats().await.unwrap(), source.manifest.stats);
    for name in [2, 6, 7] {
        assert!(matches!(b.consent(&id(name)).await, Err(StoreError::NotFound)), "{name}");
    }
    for (name, head) in [(1, (2, 2)), (3, (0, 3)), (4, (0, 4)), (5, (2, 3))] {
        let event = b.consent(&id(name)).await.unwrap().event.unwrap();
        assert_eq!((event.chain, event.position), head);
    }
    let no = b.decide(id(5), Decision::Withdrawn, evidence(5)).await.unwrap();
    assert_eq!((no.event.chain, no.event.position), (8, 1));
    assert_eq!(b.ledger_head().await.unwrap().positions.to_string(), "4.0.3.0.0.0.0.2.1");

    let made = b.back_up(&scene.path("backup"), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(made.head, b.ledger_head().await.unwrap());
    assert_eq!(check(&scene.path("backup")).unwrap(), []);
    let backup = scene.open("backup");
    assert_eq!(backup.stats().await.unwrap(), b.stats().await.unwrap());
    assert!(matches!(backup.consent(&id(2)).await, Err(StoreError::NotFound)));
    assert_eq!(backup.consent(&id(1)).await.unwrap().event.unwrap().chain, 2);

    // Before the third second, only 1 was withdrawn.
    let third = Date::from_micros(3_000_000).unwrap();
    assert_eq!(b.purgeable(Purge::Tombstones, third).await.unwrap(), 1);
    assert_eq!(b.purge(Purge::Tombstones, third, 10).await.unwrap(), 1);
    assert!(matches!(b.consent(&id(1)).await, Err(StoreError::NotFound)));
    assert!(b.consent(&id(4)).await.is_ok());
    let later = scene.clock.now();
    assert_eq!(b.purge(Purge::Tombstones, later, 10).await.unwrap(), 1);
    assert_eq!(
        b.stats().await.unwrap().withdrawn,
        1,
        "the event of the store's own chain is of now"
    );
}

#[tokio::test]
async fn a_tombstone_that_is_not_there_is_not_forgotten_again() {
    let scene = Scene::new();
    let mut source = Spread::new();
    // The event of 8 has no tombstone, and comes after one that still has its tombstone.
    let reference = source.manifest.key.reference(&id(8));
    let date = Date::from_micros(5_000_000).unwrap();
    let last = source.manifest.heads[0].next(reference, EventKind::Expired, date, evidence(8));
    source.manifest.heads[0] = last.head();
    source.events.insert(4, last);
    copy_from(&mut source, &scene.path("b.db")).await.unwrap();
    let b = scene.open("b.db");
    let later = scene.clock.now();
    assert_eq!(b.purgeable(Purge::Tombstones, later).await.unwrap(), 2);
    assert_eq!(b.purge(Purge::Tombstones, later, 1).await.unwrap(), 1);
    assert_eq!(b.purge(Purge::Tombstones, later, 10).await.unwrap(), 1);
    let stats = b.stats().await.unwrap();
    assert_eq!((stats.withdrawn, stats.erased), (0, 0));
    drop(b);
    assert_eq!(check(&scene.path("b.db")).unwrap(), []);
}

#[tokio::test]
async fn a_ledger_with_too_many_chains_is_refused_before_anything_is_copied() {
    let scene = Scene::new();
    let mut source = Spread::new();
    source.manifest.heads[2].chain = 1_023;
    let refused = copy_from(&mut source, &scene.path("b.db")).await;
    assert!(matches!(refused, Err(IncompleteCopy::Chains { past: 1_024, new: 1 })), "{refused:?}");
}

#[tokio::test]
async fn a_source_that_contradicts_itself_is_not_released() {
    let scene = Scene::new();
    let lies: [fn(&mut Spread); 7] = [
        |spread| spread.rows[0].held = None,
        |spread| spread.rows[0].last = None,
        |spread| spread.rows[1].held = spread.rows[0].held.clone(),
        |spread| spread.rows[3].last = spread.rows[0].last,
        |spread| spread.events[0].kind = EventKind::Withdrawn,
        |spread| spread.events[8].chain = 9,
        |spread| spread.manifest.stats.withdrawn += 1,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let path = scene.path(&format!("{number}.db"));
        let mut source = Spread::new();
        lie(&mut source);
        let outcome = copy_from(&mut source, &path).await;
        assert!(outcome.is_err(), "{number}");
        let refused = SqliteStore::open(&path, Options::default());
        assert!(matches!(refused, Err(OpenError::Unfinished)), "{number}");
    }
}

#[tokio::test]
async fn an_empty_store_can_be_copied() {
    let scene = Scene::new();
    drop(scene.open("a.db"));
    scene.copy("a.db", "b.db").await.unwrap();
    let b = scene.open("b.db");
    b.insert(dialog(1)).await.unwrap();
    let receipt = b.decide(id(1), Decision::Granted, evidence(1)).await.unwrap();
    assert_eq!((receipt.event.chain, receipt.event.position), (0, 1), "there was no chain to keep");
    drop(b);
    assert_eq!(check(&scene.path("b.db")).unwrap(), []);
}

#[tokio::test]
async fn a_copied_chain_that_was_cut_off_is_found_by_a_check() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 100).await;
    let head = scene.copy("a.db", "b.db").await.unwrap().head;
    let end = head.positions.of(0);
    let cut = format!(
        "DELETE FROM event WHERE position = {end};
         DELETE FROM tombstone WHERE position = {end};"
    );
    Connection::open(scene.path("b.db")).unwrap().execute_batch(&cut).unwrap();
    let found = check(&scene.path("b.db")).unwrap();
    let expected = dataapi_core::BrokenChain::CutOff { chain: 0, position: end - 1 };
    assert!(found.contains(&expected.into()), "{found:?}");
}

#[tokio::test]
async fn a_store_of_the_first_version_opens_is_checked_restored_and_copied() {
    let mut scene = Scene::new();
    fill(&mut scene, "a.db", 100).await;
    let expected = answers(&scene.open("a.db")).await;
    let make_old = |name: &str| {
        std::fs::copy(scene.path("a.db"), scene.path(name)).unwrap();
        Connection::open(scene.path(name))
            .unwrap()
            .execute_batch(
                "PRAGMA journal_mode = DELETE;
                 DROP TABLE copied_chain; DROP TABLE copy;
                 ALTER TABLE store DROP COLUMN last_scrub;
                 DROP INDEX pending_by_block;
                 CREATE INDEX pending_by_customer ON dialog\n        \
                 (customer_id, date DESC, dialog_id DESC) WHERE granted IS NULL;
                 PRAGMA user_version = 1; VACUUM;",
            )
            .unwrap();
    };
    for name in ["opened.db", "checked.db", "copied.db"] {
        make_old(name);
    }
    assert_eq!(answers(&scene.open("opened.db")).await, expected);
    assert_eq!(check(&scene.path("checked.db")).unwrap(), []);
    let accepted = Since::ResurrectionAccepted;
    restore(&scene.path("checked.db"), &scene.path("restored.db"), accepted, &mut go_on()).unwrap();
    assert_eq!(check(&scene.path("restored.db")).unwrap(), []);
    let refused = CopyTarget::open(&scene.path("checked.db"));
    assert!(matches!(refused, Err(OpenError::IsThere)), "{refused:?}");
    scene.copy("copied.db", "copy.db").await.unwrap();
    assert_eq!(answers(&scene.open("copy.db")).await, expected);
}

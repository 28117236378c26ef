//! The steps of a history: plain values that can be generated, shrunk and printed.

use std::time::Duration;

use dataapi_core::{
    Audit, Change, Clock, Cursor, CustomerId, Date, Decision, DialogId, DialogStore, Event,
    Evidence, Filter, ImportedDialog, Limit, NewDialog, PageRequest, Position, Positions, Purge,
    Reach, Start, StoreError, SubjectRequest, Window,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::answer::Answer;
use crate::ManualClock;
use crate::early::HOLD;

/// Few of each, so that histories meet the same ids again, with some difficult ones.
pub(super) const CUSTOMERS: [&str; 4] = ["anna", "Anna", "zoë 100%_", "🙂/'\""];
pub(super) const DIALOGS: [&str; 9] =
    ["d", "D", "a%2Fb", "a/b", "\u{e9}", "e\u{301}", "～", "🙂", "o'\"%_\u{202e}"];
const LANGUAGES: [&str; 5] = ["en", "EN", "pt-BR", "pt-br", "de"];
const TEXTS: [&str; 3] = ["one", "two", "naïve 🙂\n\"'\\ \u{1}"];
/// How long a held grant lasts.
const HOLD_MICROS: u64 = HOLD.as_secs() * 1_000_000;
const PIECES: [&str; 3] = ["", "v1", "naïve '\"\n"];

/// One thing that happens in a history.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Insert(Words),
    Import(Vec<Import>),
    Grant {
        dialog: &'static str,
        evidence: Pieces,
    },
    Withdraw {
        dialog: &'static str,
        evidence: Pieces,
    },
    Early {
        dialog: &'static str,
        decision: Decision,
        evidence: Pieces,
    },
    Consent {
        dialog: &'static str,
    },
    Read {
        customer: &'static str,
        dialog: &'static str,
        bounds: Bounds,
    },
    Query {
        pages: Pages,
        from: Place,
        limit: u64,
        total: bool,
    },
    /// Continues from an earlier page that had a next one; 0 is the last such page.
    Follow {
        back: usize,
        limit: u64,
        total: bool,
    },
    EraseDialog {
        customer: &'static str,
        dialog: &'static str,
    },
    EraseCustomer {
        customer: &'static str,
    },
    Purge {
        which: Purge,
        before: Moment,
        at_most: u32,
    },
    Purgeable {
        which: Purge,
        before: Moment,
    },
    /// The whole ledger, this many events at a time.
    Events {
        limit: u64,
        bounds: Bounds,
    },
    Changes {
        limit: u64,
        bounds: Bounds,
    },
    LedgerHead,
    Stats,
    Advance {
        micros: u64,
    },
    JumpBack {
        micros: u64,
    },
}

/// The bounds of a reader.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds {
    languages: &'static [&'static str],
    customers: Option<&'static str>,
}

/// Notice, method and locale.
type Pieces = [Option<&'static str>; 3];

/// A new dialog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    customer: &'static str,
    dialog: &'static str,
    language: &'static str,
    text: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Import {
    words: Words,
    date: Option<Moment>,
    consented: bool,
}

/// A date near the start of the history, or the first or last possible date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    First,
    /// This many microseconds after the start.
    Micros(i64),
    Last,
}

/// The kind of pages to ask for.
#[derive(Clone, Debug)]
pub(super) enum Pages {
    Consented {
        customer: Option<&'static str>,
        /// Tags and ranges; any language if empty.
        languages: &'static [&'static str],
        from: Option<Moment>,
        to: Option<Moment>,
        bounds: Bounds,
    },
    Subject {
        customer: &'static str,
    },
}

/// Where pages start.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Offset(u64),
    /// After a place in the order, whether or not a dialog is there.
    Behind {
        date: Moment,
        dialog: &'static str,
    },
}

/// A place to continue from, as an earlier page returned it.
#[derive(Clone, Debug)]
pub(super) struct Next {
    pub(super) pages: Pages,
    pub(super) cursor: String,
}

impl Moment {
    fn date(self, start: Date) -> Date {
        match self {
            Self::First => Date::MIN,
            Self::Micros(micros) => {
                Date::from_micros(start.as_micros() + micros).expect("near the start")
            }
            Self::Last => Date::MAX,
        }
    }
}

impl Bounds {
    fn reach(self) -> Reach {
        let mut reach = Reach::default();
        if !self.languages.is_empty() {
            let tags = self.languages.iter().map(|tag| tag.parse());
            let tags = tags.collect::<Result<_, _>>().expect("the values of steps are valid");
            reach = reach.only_languages(tags).expect("the values of steps are valid");
        }
        if let Some(prefix) = self.customers {
            reach = reach.only_customers(prefix.parse().expect("the values of steps are valid"));
        }
        reach
    }
}

impl Words {
    fn parse(self) -> NewDialog {
        NewDialog::parse(self.customer, self.dialog, self.language, self.text)
            .expect("the values of steps are valid")
    }
}

fn customer(id: &str) -> CustomerId {
    id.parse().expect("the values of steps are valid")
}

fn dialog(id: &str) -> DialogId {
    id.parse().expect("the values of steps are valid")
}

fn evidence(pieces: Pieces) -> Evidence {
    let [notice, method, locale] = pieces.map(|piece| piece.map(str::to_owned));
    Evidence::parse(notice, method, locale).expect("the values of steps are valid")
}

impl Pages {
    fn filter(&self, start: Date) -> Filter {
        let Self::Consented { customer: whose, languages, from, to, bounds } = self else {
            return Filter::default();
        };
        let mut filter = Filter::default().within(bounds.reach());
        if let Some(whose) = whose {
            filter = filter.customer(customer(whose));
        }
        let languages = languages.iter().map(|tag| tag.parse());
        let languages = languages.collect::<Result<_, _>>().expect("the values of steps are valid");
        filter = filter.languages(languages).expect("the values of steps are few");
        let date = |moment: &Option<Moment>| moment.map(|moment| moment.date(start));
        filter.between(date(from), date(to)).expect("steps have their moments in order")
    }

    /// Returns a cursor for any place in the order.
    fn cursor(&self, start: Date, position: Position) -> Cursor {
        match self {
            Self::Consented { .. } => Cursor::in_filter(&self.filter(start), position),
            Self::Subject { customer: whose } => Cursor::in_subject(&customer(whose), position),
        }
    }

    async fn ask(&self, store: &dyn DialogStore, start: Date, window: Window) -> Answer {
        match self {
            Self::Consented { .. } => {
                let request = PageRequest::new(self.filter(start), window);
                let request = request.expect("a cursor belongs to the pages that gave it");
                store.query(&request).await.into()
            }
            Self::Subject { customer: whose } => {
                let request = SubjectRequest::new(customer(whose), window);
                let request = request.expect("a cursor belongs to the pages that gave it");
                store.subject_data(&request).await.into()
            }
        }
    }
}

impl Step {
    /// Takes this step on a store. [`Step::move_clock`] takes those that move the clock.
    pub(super) async fn ask(
        &self,
        store: &dyn DialogStore,
        start: Date,
        next: Option<&Next>,
    ) -> Answer {
        match self {
            Self::Insert(words) => store.insert(words.parse()).await.into(),
            Self::Import(batch) => {
                let batch = batch.iter().map(|import| ImportedDialog {
                    dialog: import.words.parse(),
                    date: import.date.map(|moment| moment.date(start)),
                    consented: import.consented,
                });
                store.import(batch.collect()).await.into()
            }
            Self::Grant { dialog: name, evidence: pieces } => {
                store.decide(dialog(name), Decision::Granted, evidence(*pieces)).await.into()
            }
            Self::Withdraw { dialog: name, evidence: pieces } => {
                store.decide(dialog(name), Decision::Withdrawn, evidence(*pieces)).await.into()
            }
            Self::Early { dialog: name, decision, evidence: pieces } => {
                let answer =
                    store.decide_early(dialog(name), *decision, evidence(*pieces), HOLD).await;
                answer.into()
            }
            Self::Consent { dialog: name } => store.consent(&dialog(name)).await.into(),
            Self::Read { customer: whose, dialog: name, bounds } => {
                let reach = bounds.reach();
                store.dialog(&customer(whose), &dialog(name), &reach).await.into()
            }
            Self::Query { pages, from, limit, total } => {
                let place = match from {
                    Place::Offset(offset) => Start::Offset(*offset),
                    Place::Behind { date, dialog: name } => {
                        let (date, dialog_id) = (date.date(start), dialog(name));
                        Start::After(pages.cursor(start, Position { date, dialog_id }))
                    }
                };
                pages.ask(store, start, window(*limit, place, *total)).await
            }
            Self::Follow { limit, total, .. } => {
                let Some(Next { pages, cursor }) = next else { return Answer::Done };
                let cursor = cursor.parse().expect("a cursor from a page can be parsed");
                pages.ask(store, start, window(*limit, Start::After(cursor), *total)).await
            }
            Self::EraseDialog { customer: whose, dialog: name } => {
                store.erase_dialog(&customer(whose), &dialog(name)).await.into()
            }
            Self::EraseCustomer { customer: whose } => {
                store.erase_customer(&customer(whose)).await.into()
            }
            Self::Purge { which, before, at_most } => {
                store.purge(*which, before.date(start), *at_most).await.into()
            }
            Self::Purgeable { which, before } => {
                store.purgeable(*which, before.date(start)).await.into()
            }
            Self::Events { limit, bounds } => {
                let reach = bounds.reach();
                let bare = |event| Change { event, dialog: None };
                let events = async |after: &Positions, limit| {
                    let events = store.events(after, limit, &reach).await?;
                    Ok(events.into_iter().map(bare).collect())
                };
                whole_ledger(*limit, events).await.into()
            }
            Self::Changes { limit, bounds } => {
                let reach = bounds.reach();
                let changes =
                    async |after: &Positions, limit| store.changes(after, limit, &reach).await;
                whole_ledger(*limit, changes).await.into()
            }
            Self::LedgerHead => store.ledger_head().await.into(),
            Self::Stats => store.stats().await.into(),
            Self::Advance { .. } | Self::JumpBack { .. } => Answer::Done,
        }
    }

    /// Moves the clock if this step does.
    pub(super) fn move_clock(&self, clock: &ManualClock) {
        match self {
            Self::Advance { micros } => clock.advance(Duration::from_micros(*micros)),
            Self::JumpBack { micros } => clock.jump_back(Duration::from_micros(*micros)),
            _ => {}
        }
    }

    /// Returns the pages that this step asks for.
    pub(super) fn pages<'a>(&'a self, next: Option<&'a Next>) -> Option<&'a Pages> {
        match self {
            Self::Query { pages, .. } => Some(pages),
            Self::Follow { .. } => next.map(|next| &next.pages),
            _ => None,
        }
    }

    /// Returns steps that read everything, to compare at the end of a history.
    pub(super) fn audit() -> impl Iterator<Item = Self> {
        let everything = |pages| Self::Query {
            pages,
            from: Place::Offset(0),
            limit: Limit::MAX.get() as u64,
            total: true,
        };
        let bounds = Bounds::default();
        let all = Pages::Consented { customer: None, languages: &[], from: None, to: None, bounds };
        let subjects = CUSTOMERS.map(|customer| everything(Pages::Subject { customer }));
        let limit = Limit::MAX.get() as u64;
        let events = [Self::Events { limit, bounds }, Self::Changes { limit, bounds }];
        [Self::Stats, everything(all), Self::LedgerHead]
            .into_iter()
            .chain(events)
            .chain(subjects)
            .chain(DIALOGS.map(|dialog| Self::Consent { dialog }))
    }
}

/// Reads a ledger to its end and checks its chains. Stores can have different numbers of chains, so the order of events
/// across chains is not compared.
async fn whole_ledger(
    limit: u64,
    read: impl AsyncFn(&Positions, Limit) -> Result<Vec<Change>, StoreError>,
) -> Result<Vec<Change>, StoreError> {
    let limit = Limit::new(limit).expect("the values of steps are valid");
    // A reader with bounds does not see all evidence.
    let mut audit = Audit::new(None).taking_hidden();
    let mut seen = Positions::START;
    let mut all = Vec::new();
    loop {
        let some = read(&seen, limit).await?;
        if some.len() > limit.get() {
            return Err(StoreError::backend("more was returned than asked for"));
        }
        if some.is_empty() {
            return Ok(all);
        }
        for change in some {
            let event: &Event = &change.event;
            audit.check(event).map_err(StoreError::backend)?;
            seen.pass(event);
            all.push(change);
        }
    }
}

fn window(limit: u64, start: Start, total: bool) -> Window {
    Window { limit: Limit::new(limit).expect("the values of steps are valid"), start, total }
}

/// Returns the time at which a history starts.
pub(super) fn start(clock: &ManualClock) -> Date {
    clock.now()
}

fn a_customer() -> impl Strategy<Value = &'static str> {
    select(&CUSTOMERS[..])
}

fn a_dialog() -> impl Strategy<Value = &'static str> {
    select(&DIALOGS[..])
}

fn a_decision() -> impl Strategy<Value = Decision> {
    prop_oneof![3 => Just(Decision::Granted), 1 => Just(Decision::Withdrawn)]
}

fn words() -> impl Strategy<Value = Words> {
    (a_customer(), a_dialog(), select(&LANGUAGES[..]), select(&TEXTS[..]))
        .prop_map(|(customer, dialog, language, text)| Words { customer, dialog, language, text })
}

fn pieces() -> impl Strategy<Value = Pieces> {
    let piece = || option::of(select(&PIECES[..]));
    [piece(), piece(), piece()]
}

/// Close together, so that many dialogs have the date of a query.
fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        20 => (-4..12_i64).prop_map(Moment::Micros),
        1 => Just(Moment::First),
        1 => Just(Moment::Last),
    ]
}

fn purge() -> impl Strategy<Value = Purge> {
    prop_oneof![
        2 => Just(Purge::Pending),
        1 => Just(Purge::Consented),
        2 => Just(Purge::Tombstones),
    ]
}

/// Stores can erase the dialogs of one customer in any order, and forget their tombstones in that order. To get equal
/// answers, a purge of tombstones takes all or none.
fn a_purge((which, before, at_most): (Purge, Moment, u32)) -> Step {
    let at_most = match which {
        Purge::Tombstones if at_most > 0 => u32::MAX,
        _ => at_most,
    };
    Step::Purge { which, before, at_most }
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let languages = select(vec![&["en"][..], &["de", "PT-BR"], &["en", "de", "it"]]);
    let customers = select(vec!["a", "anna", "z", "🙂"]);
    let some = (option::of(languages), option::of(customers)).prop_map(|(languages, customers)| {
        Bounds { languages: languages.unwrap_or_default(), customers }
    });
    prop_oneof![2 => Just(Bounds::default()), 1 => some]
}

fn pages() -> impl Strategy<Value = Pages> {
    let range =
        (option::of(moment()), option::of(moment())).prop_map(|(from, to)| match (from, to) {
            (Some(from), Some(to)) if to < from => (Some(to), Some(from)),
            range => range,
        });
    let languages = select(vec![
        &["en"][..],
        &["EN"],
        &["de"],
        &["it"],
        &["pt-*"],
        &["PT-BR", "en"],
        &["en-*", "de", "fr"],
        &["de-*", "en-*", "pt-*"],
    ]);
    let consented = (
        option::weighted(0.3, a_customer()),
        option::weighted(0.4, languages),
        prop_oneof![2 => Just((None, None)), 1 => range],
        bounds(),
    );
    prop_oneof![
        3 => consented.prop_map(|(customer, languages, (from, to), bounds)| {
            let languages = languages.unwrap_or_default();
            Pages::Consented { customer, languages, from, to, bounds }
        }),
        1 => a_customer().prop_map(|customer| Pages::Subject { customer }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        6 => Just(Place::Offset(0)),
        3 => (0..6_u64).prop_map(Place::Offset),
        1 => select(vec![u64::MAX, 1 << 63, 1000]).prop_map(Place::Offset),
        3 => (moment(), a_dialog()).prop_map(|(date, dialog)| Place::Behind { date, dialog }),
    ]
}

fn limit() -> impl Strategy<Value = u64> {
    prop_oneof![5 => 1..4_u64, 1 => Just(1000)]
}

/// Any step. Steps that add something are more frequent than steps that remove something.
pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let import = (words(), option::of(moment()), any::<bool>())
        .prop_map(|(words, date, consented)| Import { words, date, consented });
    prop_oneof![
        14 => words().prop_map(Step::Insert),
        6 => prop::collection::vec(import, 0..5).prop_map(Step::Import),
        12 => (a_dialog(), pieces())
            .prop_map(|(dialog, evidence)| Step::Grant { dialog, evidence }),
        4 => (a_dialog(), pieces())
            .prop_map(|(dialog, evidence)| Step::Withdraw { dialog, evidence }),
        5 => (a_dialog(), a_decision(), pieces())
            .prop_map(|(dialog, decision, evidence)| Step::Early { dialog, decision, evidence }),
        4 => a_dialog().prop_map(|dialog| Step::Consent { dialog }),
        6 => (a_customer(), a_dialog(), bounds())
            .prop_map(|(customer, dialog, bounds)| Step::Read { customer, dialog, bounds }),
        12 => (pages(), place(), limit(), any::<bool>())
            .prop_map(|(pages, from, limit, total)| Step::Query { pages, from, limit, total }),
        12 => (prop_oneof![3 => Just(0), 1 => 0..8_usize], limit(), any::<bool>())
            .prop_map(|(back, limit, total)| Step::Follow { back, limit, total }),
        2 => (a_customer(), a_dialog())
            .prop_map(|(customer, dialog)| Step::EraseDialog { customer, dialog }),
        1 => a_customer().prop_map(|customer| Step::EraseCustomer { customer }),
        1 => (purge(), moment(), prop_oneof![3 => 0..3_u32, 1 => Just(u32::MAX)]).prop_map(
            a_purge
        ),
        1 => (purge(), moment()).prop_map(|(which, before)| Step::Purgeable { which, before }),
        3 => Just(Step::Stats),
        1 => Just(Step::LedgerHead),
        2 => (limit(), bounds()).prop_map(|(limit, bounds)| Step::Events { limit, bounds }),
        2 => (limit(), bounds()).prop_map(|(limit, bounds)| Step::Changes { limit, bounds }),
        5 => (1..3_u64).prop_map(|micros| Step::Advance { micros }),
        1 => Just(Step::Advance { micros: HOLD_MICROS }),
        2 => (1..6_u64).prop_map(|micros| Step::JumpBack { micros }),
    ]
}

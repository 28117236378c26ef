//! Reach: a reader with bounds sees and counts nothing outside them.

use dataapi_core::{
    Audit, BrokenChain, Change, Clock, Decision, Dialog, DialogStore, Evidence, Filter, Limit,
    PageRequest, Positioned, Positions, Reach, Start, StoreError, Window,
};

use crate::ManualClock;
use crate::scene::{
    SECOND, assert_refused, customer, evidence, grant, id, insert_consented, language, limit,
    withdraw, worded,
};

const CUSTOMERS: [&str; 5] = ["shop-anna", "shop", "Shop-anna", "zoë/1", "\u{10ffff}🙂"];
const LANGUAGES: [&str; 4] = ["en", "DE", "pt-BR", "fr"];

/// Stores one consented dialog for each customer and language. Returns their ids.
async fn populate(store: &dyn DialogStore, clock: &ManualClock) -> Vec<String> {
    let mut names = Vec::new();
    for (number, whose) in CUSTOMERS.into_iter().enumerate() {
        for tag in LANGUAGES {
            let name = format!("{number}-{tag}");
            let stored = store.insert(worded(whose, &name, tag, "words")).await;
            stored.expect("a new dialog is stored");
            grant(store, &name).await;
            names.push(name);
        }
        clock.advance(SECOND);
    }
    names
}

/// Returns the customer and the language of an id from [`populate`].
fn values(name: &str) -> (&'static str, &str) {
    let (number, tag) = name.split_once('-').expect("a name of the scene");
    (CUSTOMERS[number.parse::<usize>().expect("a number")], tag)
}

fn covers(reach: &Reach, name: &str) -> bool {
    let (whose, tag) = values(name);
    reach.covers(&customer(whose), &language(tag))
}

fn reaches() -> Vec<Reach> {
    let speaking = |tags: &[&str]| {
        let tags = tags.iter().map(|tag| language(tag)).collect();
        Reach::default().only_languages(tags).expect("one language or more")
    };
    let of = |reach: Reach, prefix: &str| reach.only_customers(prefix.parse().expect("a prefix"));
    vec![
        Reach::default(),
        speaking(&["EN"]),
        speaking(&["en", "de", "pt-br"]),
        speaking(&["it"]),
        of(Reach::default(), "shop"),
        of(Reach::default(), "shop-"),
        of(Reach::default(), "z"),
        of(Reach::default(), "\u{10ffff}"),
        of(Reach::default(), "nobody"),
        of(speaking(&["fr"]), "shop"),
        of(speaking(&["fr", "en", "it"]), "shop-anna"),
    ]
}

fn filters(clock: &ManualClock) -> Vec<Filter> {
    let between = |from, to| Filter::default().between(from, to).expect("in order");
    let middle = clock.now().saturating_sub(SECOND * 3);
    vec![
        Filter::default(),
        Filter::default().language(language("de")),
        Filter::default().customer(customer("shop-anna")),
        Filter::default().customer(customer("shop-anna")).language(language("en")),
        between(Some(middle), None),
        between(None, Some(middle)).language(language("fr")),
    ]
}

/// A query returns and counts what matches within its reach, page by page, and nothing else.
pub async fn a_query_shows_and_counts_only_what_is_within_reach(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    populate(store, clock).await;
    for filter in filters(clock) {
        for reach in reaches() {
            let whole = PageRequest::new(filter.clone(), Window::default()).expect("no cursor");
            let all = store.query(&whole).await.expect("a valid query is answered").items;
            let within: Vec<_> = all
                .iter()
                .filter(|dialog| reach.covers(dialog.customer_id(), dialog.language()))
                .map(Positioned::position)
                .collect();
            let bound = filter.clone().within(reach.clone());
            let (mut met, mut start) = (Vec::new(), Start::default());
            loop {
                let window = Window { limit: limit(3), start, total: true };
                let request = PageRequest::new(bound.clone(), window).expect("its own cursor");
                let page = store.query(&request).await.expect("a valid query is answered");
                assert_eq!(page.total, Some(within.len() as u64), "{bound:?}");
                met.extend(page.items.iter().map(Positioned::position));
                let Some(next) = page.next else { break };
                start = Start::After(next);
            }
            assert_eq!(met, within, "{bound:?}");
            let window = Window { start: Start::Offset(1), ..Window::default() };
            let request = PageRequest::new(bound.clone(), window).expect("no cursor");
            let page = store.query(&request).await.expect("a valid query is answered");
            let rest: Vec<_> = page.items.iter().map(Positioned::position).collect();
            assert_eq!(rest, within.get(1..).unwrap_or_default(), "{bound:?}");
        }
    }
}

/// A dialog out of reach is `NotFound` in every state: the answer does not reveal that it is pending.
pub async fn a_dialog_out_of_reach_is_not_found(store: &dyn DialogStore, clock: &ManualClock) {
    let names = populate(store, clock).await;
    for name in &names {
        let pending = format!("{name}-pending");
        let (whose, tag) = values(name);
        let stored = store.insert(worded(whose, &pending, tag, "words")).await;
        stored.expect("a new dialog is stored");
        for reach in reaches() {
            let read = store.dialog(&customer(whose), &id(name), &reach).await;
            let unread = store.dialog(&customer(whose), &id(&pending), &reach).await;
            if covers(&reach, name) {
                assert_eq!(read.expect("it is within reach").dialog_id(), &id(name));
                assert_refused!(unread, StoreError::ConsentRequired, "{name} is pending");
            } else {
                assert_refused!(read, StoreError::NotFound, "{name}, {reach:?}");
                assert_refused!(unread, StoreError::NotFound, "{name}, {reach:?}");
            }
        }
    }
}

/// `is_within` is true only for dialogs that are held and within the reach.
pub async fn what_is_within_reach_is_told_of_held_dialogs_alone(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    let names = populate(store, clock).await;
    withdraw(store, &names[0]).await;
    for reach in reaches() {
        let within = async |name: &str| {
            store.is_within(&reach, &id(name)).await.expect("it can be looked up")
        };
        assert!(!within("unknown").await);
        assert!(!within(&names[0]).await, "it is gone");
        for name in &names[1..] {
            assert_eq!(within(name).await, covers(&reach, name), "{name}, {reach:?}");
        }
    }
}

/// Changes contain every event, but no dialog that is out of reach.
pub async fn changes_bring_no_dialog_that_is_out_of_reach(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    populate(store, clock).await;
    insert_consented(store, "shop-anna", "gone").await;
    withdraw(store, "gone").await;
    let all =
        store.changes(&Positions::START, Limit::MAX, &Reach::default()).await.expect("all changes");
    for reach in reaches() {
        let changes = store.changes(&Positions::START, Limit::MAX, &reach).await.expect("changes");
        assert_eq!(changes.len(), all.len());
        for (change, whole) in changes.iter().zip(&all) {
            let within = whole
                .dialog
                .as_ref()
                .filter(|dialog| reach.covers(dialog.customer_id(), dialog.language()));
            assert_eq!((&change.event, change.dialog.as_ref()), (&whole.event, within));
        }
    }
}

/// Outside its bounds, a reader sees keyed hashes and the hashes of the chain: no notice, method or locale. A dialog that
/// is gone is within no bounds. What such a reader gets still follows from one hash to the next, and leads to the head.
pub async fn events_out_of_reach_hide_their_evidence(store: &dyn DialogStore, clock: &ManualClock) {
    for (number, whose) in CUSTOMERS.into_iter().enumerate() {
        for tag in LANGUAGES {
            for fate in ["stays", "bare", "withdrawn", "erased"] {
                let name = format!("{number}-{tag}-{fate}");
                let stored = store.insert(worded(whose, &name, tag, "words")).await;
                stored.expect("a new dialog is stored");
                let given = if fate == "bare" { Evidence::default() } else { evidence(&name) };
                let granted = store.decide(id(&name), Decision::Granted, given).await;
                granted.expect("a decision on a pending dialog");
                match fate {
                    "withdrawn" => {
                        let given = evidence(&format!("no to {name}"));
                        let taken_back = store.decide(id(&name), Decision::Withdrawn, given).await;
                        taken_back.expect("a consent can be withdrawn");
                    }
                    "erased" => {
                        let erased = store.erase_dialog(&customer(whose), &id(&name)).await;
                        erased.expect("a dialog can be erased");
                    }
                    _ => {}
                }
            }
        }
        clock.advance(SECOND);
    }
    let all =
        store.changes(&Positions::START, Limit::MAX, &Reach::default()).await.expect("all changes");
    let head = store.ledger_head().await.expect("a head");
    for reach in reaches() {
        let covers = |dialog: &Dialog| reach.covers(dialog.customer_id(), dialog.language());
        let shown: Vec<_> = all
            .iter()
            .map(|Change { event, dialog }| {
                let is_within = reach.is_all() || dialog.as_ref().is_some_and(covers);
                if is_within { event.clone() } else { event.clone().without_evidence() }
            })
            .collect();
        let events = store.events(&Positions::START, Limit::MAX, &reach).await.expect("events");
        assert_eq!(events, shown, "{reach:?}");
        let changes = store.changes(&Positions::START, Limit::MAX, &reach).await.expect("changes");
        let events: Vec<_> = changes.into_iter().map(|change| change.event).collect();
        assert_eq!(events, shown, "{reach:?}");

        let hidden = shown.iter().filter(|event| event.hides_evidence);
        assert!(hidden.clone().all(|event| event.evidence == Evidence::default()));
        let hidden = hidden.count() as u64;
        assert_eq!(hidden == 0, reach.is_all(), "{reach:?}");
        let mut audit = Audit::new(Some(head.clone())).taking_hidden();
        shown.iter().try_for_each(|event| audit.check(event)).expect("each follows");
        assert_eq!(audit.hidden(), hidden);
        assert_eq!(audit.finish().expect("they lead to the head"), head);
        let mut strict = Audit::new(None);
        let found = shown.iter().try_for_each(|event| strict.check(event));
        let found_hidden = matches!(found, Err(BrokenChain::Hidden { .. }));
        assert_eq!(found_hidden, hidden > 0, "{found:?}");
    }
}

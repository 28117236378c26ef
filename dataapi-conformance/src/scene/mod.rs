//! The scenes that tests play in: dialogs in every state, and short ways to ask for them.
//!
//! A backend's own tests use them, too.

mod ledger;
mod retries;

pub use ledger::audited;
pub use retries::{Told, is_for_later, until_told};

use std::collections::BTreeSet;
use std::time::Duration;

use dataapi_core::{
    Clock, ConsentState, ConsentStatus, Cursor, CustomerId, Date, Decision, Dialog, DialogId,
    DialogStore, Evidence, Filter, HeldDialog, Language, Limit, NewDialog, Page, PageRequest,
    Positioned, Purge, Reach, Receipt, Start, Stats, StoreError, SubjectRequest, Window,
};

use crate::ManualClock;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);

/// Asserts that a call was refused in the one way that is promised.
macro_rules! assert_refused {
    ($answer:expr, $refusal:pat, $($promise:tt)+) => {{
        let answer = $answer;
        assert!(
            matches!(answer, Err($refusal)),
            "{}; the store answered {answer:?}",
            format_args!($($promise)+),
        );
    }};
}
pub(crate) use assert_refused;

/// A customer's id.
pub fn customer(id: &str) -> CustomerId {
    id.parse().expect("the scene uses valid customer ids")
}

/// A dialog's id.
pub fn id(id: &str) -> DialogId {
    id.parse().expect("the scene uses valid dialog ids")
}

pub(crate) fn language(tag: &str) -> Language {
    tag.parse().expect("the scene uses well-formed tags")
}

pub(crate) fn limit(limit: usize) -> Limit {
    Limit::new(limit as u64).expect("the scene uses limits from 1 to 1000")
}

/// An English dialog.
pub fn dialog(customer: &str, id: &str) -> NewDialog {
    worded(customer, id, "en", "Where is my parcel?")
}

/// A dialog with those words.
pub fn worded(customer: &str, id: &str, language: &str, text: &str) -> NewDialog {
    NewDialog::parse(customer, id, language, text).expect("the scene uses valid dialogs")
}

pub(crate) fn evidence(notice: &str) -> Evidence {
    Evidence::parse(Some(notice.to_owned()), Some("button".to_owned()), None)
        .expect("the scene uses valid evidence")
}

/// Stores an English dialog with a new id; yields when it was received.
pub async fn insert(store: &dyn DialogStore, customer: &str, id: &str) -> Date {
    store.insert(dialog(customer, id)).await.expect("a dialog with a new id is stored").date
}

/// Stores an English dialog with a new id, and consents to it; yields when it was received.
pub async fn insert_consented(store: &dyn DialogStore, customer: &str, id: &str) -> Date {
    let date = insert(store, customer, id).await;
    grant(store, id).await;
    date
}

/// Consents to a dialog that is not gone.
pub async fn grant(store: &dyn DialogStore, id: &str) -> Receipt {
    decide(store, id, Decision::Granted).await.expect("a yes to what is not gone is recorded")
}

/// Withdraws a dialog.
pub async fn withdraw(store: &dyn DialogStore, id: &str) -> Receipt {
    decide(store, id, Decision::Withdrawn).await.expect("a no is always recorded")
}

/// Decides on a dialog, without evidence.
pub async fn decide(
    store: &dyn DialogStore,
    dialog: &str,
    decision: Decision,
) -> Result<Receipt, StoreError> {
    store.decide(id(dialog), decision, Evidence::default()).await
}

/// The ways in which a dialog ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    RefusedAtOnce,
    Withdrawn,
    ErasedPending,
    ErasedConsented,
    CustomerErased,
    Expired,
}

impl Ending {
    pub(crate) const ALL: [Self; 6] = [
        Self::RefusedAtOnce,
        Self::Withdrawn,
        Self::ErasedPending,
        Self::ErasedConsented,
        Self::CustomerErased,
        Self::Expired,
    ];

    /// How a dialog stands after it.
    pub(crate) fn state(self) -> ConsentState {
        match self {
            Self::RefusedAtOnce | Self::Withdrawn => ConsentState::Withdrawn,
            _ => ConsentState::Erased,
        }
    }

    /// Inserts a dialog and brings it to this end a second later; returns when.
    ///
    /// The store must hold no other pending dialog, and nothing else of that customer.
    pub(crate) async fn bring(
        self,
        store: &dyn DialogStore,
        clock: &ManualClock,
        whose: &str,
        dialog: &str,
    ) -> Date {
        insert(store, whose, dialog).await;
        if matches!(self, Self::Withdrawn | Self::ErasedConsented) {
            grant(store, dialog).await;
        }
        clock.advance(SECOND);
        match self {
            Self::RefusedAtOnce | Self::Withdrawn => {
                withdraw(store, dialog).await;
            }
            Self::ErasedPending | Self::ErasedConsented => store
                .erase_dialog(&customer(whose), &id(dialog))
                .await
                .expect("what is held on the customer can be erased"),
            Self::CustomerErased => {
                let erased = store.erase_customer(&customer(whose)).await;
                assert_eq!(erased.expect("a customer can be erased"), 1, "what was held is erased");
            }
            Self::Expired => {
                let purged = store.purge(Purge::Pending, clock.now(), 1).await;
                assert_eq!(
                    purged.expect("a purge succeeds"),
                    1,
                    "the old pending dialog is purged"
                );
            }
        }
        clock.now()
    }
}

/// Reads a dialog.
pub async fn read(
    store: &dyn DialogStore,
    whose: &str,
    dialog: &str,
) -> Result<Dialog, StoreError> {
    store.dialog(&customer(whose), &id(dialog), &Reach::default()).await
}

pub(crate) async fn status(store: &dyn DialogStore, dialog: &str) -> ConsentStatus {
    store.consent(&id(dialog)).await.expect("an id that was used has a consent status")
}

pub(crate) async fn stats(store: &dyn DialogStore) -> Stats {
    store.stats().await.expect("the store counts")
}

pub(crate) async fn page(store: &dyn DialogStore, filter: &Filter, window: Window) -> Page<Dialog> {
    let request = PageRequest::new(filter.clone(), window).expect("the cursor is the filter's");
    store.query(&request).await.expect("a valid query is answered")
}

pub(crate) async fn subject_page(
    store: &dyn DialogStore,
    whose: &str,
    window: Window,
) -> Page<HeldDialog> {
    let request =
        SubjectRequest::new(customer(whose), window).expect("the cursor is the customer's");
    store.subject_data(&request).await.expect("a customer's data can be had")
}

/// As many as one page holds, with their total.
pub(crate) fn largest() -> Window {
    Window { limit: Limit::MAX, ..Window::default() }
}

/// From the newest on, with their total.
pub(crate) fn newest(how_many: usize) -> Window {
    Window { limit: limit(how_many), ..Window::default() }
}

/// On from a cursor, which goes over the wire as a text and so does here.
pub(crate) fn after(cursor: &Cursor, how_many: usize) -> Window {
    let cursor = cursor.to_string().parse().expect("a cursor that a page gave can be read again");
    Window { limit: limit(how_many), start: Start::After(cursor), total: true }
}

/// The ids of all consented dialogs, on a store that holds less than a page of them.
pub(crate) async fn listed(store: &dyn DialogStore, filter: &Filter) -> Vec<String> {
    ids(&page(store, filter, largest()).await)
}

/// Everything held on a customer, if that is less than a page.
pub(crate) async fn held(store: &dyn DialogStore, whose: &str) -> Vec<HeldDialog> {
    subject_page(store, whose, largest()).await.items
}

pub(crate) fn ids<T: Positioned>(page: &Page<T>) -> Vec<String> {
    page.items.iter().map(|item| item.position().dialog_id.as_str().to_owned()).collect()
}

/// What a crawl has met, page by page.
///
/// Each page must bring something new, so that a store that breaks its promise cannot keep a test
/// crawling for ever.
#[derive(Default)]
pub(crate) struct Met {
    in_order: Vec<String>,
    once: BTreeSet<String>,
}

impl Met {
    pub(crate) fn add<T: Positioned>(&mut self, page: &Page<T>) {
        assert!(page.next.is_none() || !page.items.is_empty(), "a page before another has items");
        for name in ids(page) {
            assert!(self.once.insert(name.clone()), "no crawl meets a dialog twice");
            assert!(!name.starts_with("new"), "no crawl meets what is newer than its start");
            self.in_order.push(name);
        }
    }

    pub(crate) fn in_order(&self) -> &[String] {
        &self.in_order
    }

    /// Those whose id starts so, sorted.
    pub(crate) fn starting(&self, start: &str) -> Vec<&str> {
        self.once.iter().map(String::as_str).filter(|name| name.starts_with(start)).collect()
    }
}

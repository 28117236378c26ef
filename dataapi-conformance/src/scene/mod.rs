//! Helpers for tests: dialogs in every state, and short functions for common calls.
//!
//! A backend's own tests can use them too.

mod ledger;
mod retries;

pub use ledger::audited;
pub use retries::{Told, is_for_later, until_told};

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use dataapi_core::{
    Clock, ConsentState, ConsentStatus, Cursor, CustomerId, Date, Decision, Dialog, DialogId,
    DialogStore, Evidence, Filter, HeldDialog, Language, Limit, NewDialog, Page, PageRequest,
    Positioned, Purge, Reach, Receipt, Start, Stats, StoreError, SubjectRequest, Window,
};
use futures_util::future::select;
use tokio::task::yield_now;

use crate::ManualClock;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MICROSECOND: Duration = Duration::from_micros(1);

/// Asserts that a call was refused with exactly the promised error.
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

/// Parses a customer's id.
pub fn customer(id: &str) -> CustomerId {
    id.parse().expect("the scene uses valid customer ids")
}

/// Parses a dialog's id.
pub fn id(id: &str) -> DialogId {
    id.parse().expect("the scene uses valid dialog ids")
}

pub(crate) fn language(tag: &str) -> Language {
    tag.parse().expect("the scene uses well-formed tags")
}

pub(crate) fn limit(limit: usize) -> Limit {
    Limit::new(limit as u64).expect("the scene uses limits from 1 to 1000")
}

/// Makes an English dialog.
pub fn dialog(customer: &str, id: &str) -> NewDialog {
    worded(customer, id, "en", "Where is my parcel?")
}

/// Makes a dialog with this language and text.
pub fn worded(customer: &str, id: &str, language: &str, text: &str) -> NewDialog {
    NewDialog::parse(customer, id, language, text).expect("the scene uses valid dialogs")
}

pub(crate) fn evidence(notice: &str) -> Evidence {
    Evidence::parse(Some(notice.to_owned()), Some("button".to_owned()), None)
        .expect("the scene uses valid evidence")
}

/// Stores an English dialog with a new id. Returns the date when it was received.
pub async fn insert(store: &dyn DialogStore, customer: &str, id: &str) -> Date {
    store.insert(dialog(customer, id)).await.expect("a dialog with a new id is stored").date
}

/// Stores an English dialog with a new id and consents to it. Returns the date when it was received.
pub async fn insert_consented(store: &dyn DialogStore, customer: &str, id: &str) -> Date {
    let date = insert(store, customer, id).await;
    grant(store, id).await;
    date
}

/// Consents to a dialog that is not gone.
pub async fn grant(store: &dyn DialogStore, id: &str) -> Receipt {
    decide(store, id, Decision::Granted)
        .await
        .expect("a grant on a dialog that is not gone is recorded")
}

/// Withdraws a dialog.
pub async fn withdraw(store: &dyn DialogStore, id: &str) -> Receipt {
    decide(store, id, Decision::Withdrawn).await.expect("a withdrawal is always recorded")
}

/// Records a decision without evidence.
pub async fn decide(
    store: &dyn DialogStore,
    dialog: &str,
    decision: Decision,
) -> Result<Receipt, StoreError> {
    store.decide(id(dialog), decision, Evidence::default()).await
}

/// The ways in which a dialog can end.
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

    /// Returns the consent state of a dialog with this end.
    pub(crate) fn state(self) -> ConsentState {
        match self {
            Self::RefusedAtOnce | Self::Withdrawn => ConsentState::Withdrawn,
            _ => ConsentState::Erased,
        }
    }

    /// Inserts a dialog and ends it in this way a second later. Returns the date of the end.
    ///
    /// The store must hold no other pending dialog, and no other dialog of this customer.
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
                .expect("a dialog held on the customer can be erased"),
            Self::CustomerErased => {
                let erased = store.erase_customer(&customer(whose)).await;
                assert_eq!(
                    erased.expect("a customer can be erased"),
                    1,
                    "the dialog that was held is erased"
                );
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
    store.subject_data(&request).await.expect("a customer's data can be read")
}

/// The first page of 1000 dialogs, with a total.
pub(crate) fn largest() -> Window {
    Window { limit: Limit::MAX, ..Window::default() }
}

/// The first page of `how_many` dialogs, with a total.
pub(crate) fn newest(how_many: usize) -> Window {
    Window { limit: limit(how_many), ..Window::default() }
}

/// The page after a cursor. The cursor is converted to a string and back, as over HTTP.
pub(crate) fn after(cursor: &Cursor, how_many: usize) -> Window {
    let cursor = cursor.to_string().parse().expect("a cursor from a page can be parsed");
    Window { limit: limit(how_many), start: Start::After(cursor), total: true }
}

/// Returns the ids of all consented dialogs that match, if there are at most 1000.
pub(crate) async fn listed(store: &dyn DialogStore, filter: &Filter) -> Vec<String> {
    ids(&page(store, filter, largest()).await)
}

/// Returns everything held on a customer, if that is at most 1000 dialogs.
pub(crate) async fn held(store: &dyn DialogStore, whose: &str) -> Vec<HeldDialog> {
    subject_page(store, whose, largest()).await.items
}

pub(crate) fn ids<T: Positioned>(page: &Page<T>) -> Vec<String> {
    page.items.iter().map(|item| item.position().dialog_id.as_str().to_owned()).collect()
}

/// The dialogs that a crawl has found, page by page.
///
/// Each page must contain new dialogs, so that a faulty store cannot make a test crawl without end.
#[derive(Default)]
pub(crate) struct Met {
    in_order: Vec<String>,
    once: BTreeSet<String>,
}

impl Met {
    pub(crate) fn add<T: Positioned>(&mut self, page: &Page<T>) {
        assert!(page.next.is_none() || !page.items.is_empty(), "a page with a next one has items");
        for name in ids(page) {
            assert!(self.once.insert(name.clone()), "no crawl finds a dialog twice");
            assert!(
                !name.starts_with("new"),
                "no crawl finds a dialog that is newer than its start"
            );
            self.in_order.push(name);
        }
    }

    pub(crate) fn in_order(&self) -> &[String] {
        &self.in_order
    }

    /// Returns the ids that begin with `start`, sorted.
    pub(crate) fn starting(&self, start: &str) -> Vec<&str> {
        self.once.iter().map(String::as_str).filter(|name| name.starts_with(start)).collect()
    }
}

/// Starts a call, and drops it after this many turns if it is not ready by then.
pub(crate) async fn drop_after<T>(turns: usize, call: impl Future<Output = T>) {
    let waiting = async {
        for _ in 0..turns {
            yield_now().await;
        }
    };
    drop(select(pin!(call), pin!(waiting)).await);
}

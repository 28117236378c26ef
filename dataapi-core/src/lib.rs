//! The domain of DataAPI, a consent-gated store for chatbot dialogs.
//!
//! A chatbot stores each dialog while it runs. Until the customer consents, nobody can read the text. When the customer
//! refuses or withdraws consent, the text is erased. This crate contains the values, the consent gate, the pages and
//! the [`DialogStore`] trait. It depends on no HTTP, SQL or async runtime. The caller supplies the time through
//! [`Clock`] and randomness through [`RefKey`].
//!
//! | module | contains |
//! |---|---|
//! | [`values`] | ids, language, text, date and evidence: valid once they are parsed |
//! | [`dialog`] | dialogs, and the gate between what is stored and what can be read |
//! | [`consent`] | decisions, receipts, and the rules of every write |
//! | [`ledger`] | one chained event for every decision and erasure |
//! | [`query`] | filters, limits, cursors, and the order of pages |
//! | [`key`] | who may do what over a network |
//! | [`store`] | the traits that a backend implements, and what they promise |
//! | [`copy`] | copying a whole store to another backend |
//! | [`memory`] | the reference model: every backend must answer as it does |
//! | [`clock`] | where the time comes from |
//! | [`error`] | the error type: each variant tells the caller how to react |
//!
//! ```
//! use std::sync::Arc;
//! use dataapi_core::{
//!     Decision, Dialogs, Evidence, MemoryStore, NewDialog, Reach, RefKey, StoreError, SystemClock,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), StoreError> {
//! let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
//! let dialog = NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?;
//! let (customer, id) = (dialog.customer_id.clone(), dialog.dialog_id.clone());
//!
//! store.insert(dialog).await?;
//! assert!(matches!(store.dialog(&customer, &id, &Reach::default()).await, Err(StoreError::ConsentRequired)));
//!
//! store.decide(id.clone(), Decision::Granted, Evidence::default()).await?;
//! assert_eq!(store.dialog(&customer, &id, &Reach::default()).await?.text().as_str(), "Where is my parcel?");
//! # Ok(()) }
//! ```

#![deny(missing_docs)]

pub mod clock;
pub mod consent;
pub mod copy;
pub mod dialog;
pub mod error;
pub mod key;
pub mod ledger;
pub mod memory;
pub mod query;
pub mod store;
pub mod values;

pub use clock::{Clock, SystemClock};
pub use consent::{ConsentState, ConsentStatus, Decision, EarlyDecision, HeldDecision, Receipt};
pub use dialog::{Dialog, HeldDialog, ImportedDialog, NewDialog, Received, StoredDialog};
pub use error::{Invalid, StoreError};
pub use key::{Grant, Key, KeyHash, KeyName, KeySecret, NewKey, Role, Roles};
pub use ledger::{
    Audit, BrokenChain, ChainHead, Change, Event, EventHash, EventKind, LedgerHead, Positions,
};
pub use memory::MemoryStore;
pub use query::{
    Cursor, CustomerPrefix, Filter, Limit, Page, PageRequest, Position, Positioned, Reach, Start,
    SubjectRequest, Upper, Window,
};
pub use store::{
    Activity, Allowance, BatchSizes, DialogStore, Dialogs, Keys, Ledger, Purge, Revision, Stats,
    StoreInfo, Upkeep,
};
pub use values::{
    CustomerId, Date, DialogId, DialogRef, Evidence, EvidenceField, Language, LanguageRange,
    RefKey, Text,
};

/// The traits of a store. Import them to call their methods on a concrete store.
pub mod prelude {
    pub use crate::store::{DialogStore, Dialogs, Keys, Ledger, Upkeep};
}

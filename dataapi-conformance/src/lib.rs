//! The promises of [`DialogStore`](dataapi_core::DialogStore) as tests for any storage backend.
//!
//! A backend keeps the written contract exactly if it passes these. Each promise is a function
//! over `&dyn DialogStore` whose name says what is promised; [`conformance!`] makes a test of each.
//!
//! ```
//! use std::sync::Arc;
//! use dataapi_conformance::{Fixture, ManualClock, conformance};
//! use dataapi_core::{MemoryStore, RefKey};
//!
//! // Stands for your own: make an empty store, and keep what it needs in the fixture.
//! async fn fresh(clock: ManualClock) -> Fixture {
//!     let directory = Arc::new("a temporary directory, dropped after the store");
//!     let store = MemoryStore::new(Arc::new(clock), RefKey::from_bytes([7; 32]));
//!     Fixture::new(store).keeping(directory)
//! }
//!
//! // In a file such as tests/conformance.rs:
//! conformance!(fresh);
//! # fn main() {
//! #     dataapi_conformance::uphold(&fresh, dataapi_conformance::gate::a_pending_dialog_cannot_be_read);
//! # }
//! ```
//!
//! Each test has a fresh store and a [`ManualClock`], and no test looks at the wall clock. What
//! cannot be seen through the trait is left to the backend's own tests: that an acknowledged write
//! survives the loss of power, that the bytes of a gone text leave the files, and what calls cost.
//!
//! | module | holds |
//! |---|---|
//! | [`gate`] | no text is read before consent, and none after it ended |
//! | [`inserts`] | each id is taken once, and a retry learns whether it is done |
//! | [`decisions`] | what yes and no do, and the proof of them |
//! | [`early`] | decisions that come before their dialog |
//! | [`erasure`] | by dialog, by customer, and of what was never consented to |
//! | [`dates`] | they follow the clock, but never backwards |
//! | [`values`] | whatever is valid is returned byte for byte |
//! | [`pages`] | the one right order, filters, totals, limits, offsets, cursors |
//! | [`crawl`] | following `next` while others come and go |
//! | [`subject`] | everything held on one customer, and on nobody else |
//! | [`import`] | dialogs of another store keep their dates |
//! | [`ledger`] | one chained event for whatever was decided or erased, and none for anything else |
//! | [`reach`] | within bounds nothing else is read, listed or counted |
//! | [`keys`] | kept by their hash, revoked for good |
//! | [`stats`] | the counts, after everything that can happen |
//! | [`whole`] | refused calls change nothing, dropped ones nothing in part |
//! | [`races`] | of calls that compete, exactly the promised ones win |
//! | [`meanwhile`] | what readers see while writers are at work |
//! | [`model`] | random histories are answered as by the reference model |
//!
//! [`scene`] has what they and a backend's own tests begin with.

#![deny(missing_docs)]
#![allow(clippy::missing_panics_doc, reason = "a promise that is not kept panics, as tests do")]

mod clock;
mod harness;
mod parallel;
mod promises;

pub mod crawl;
pub mod dates;
pub mod decisions;
pub mod early;
pub mod erasure;
pub mod gate;
pub mod import;
pub mod inserts;
pub mod keys;
pub mod ledger;
pub mod meanwhile;
pub mod model;
pub mod pages;
pub mod races;
pub mod reach;
pub mod revision;
pub mod scene;
pub mod stats;
pub mod subject;
pub mod values;
pub mod whole;

pub use clock::ManualClock;
pub use harness::{CopyHarness, Fixture, Harness, uphold};
pub use promises::PROMISES;

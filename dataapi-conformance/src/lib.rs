//! Tests for storage backends of DataAPI: everything that [`DialogStore`](dataapi_core::DialogStore) promises and that
//! can be checked through the trait.
//!
//! Each promise is a function over `&dyn DialogStore`. Its name says what the store promises, such as
//! [`gate::a_pending_dialog_cannot_be_read`]. The macro [`conformance!`] makes one test of each promise.
//!
//! # Test your backend
//!
//! Add this crate to the `dev-dependencies` of your backend. Write a function that makes an empty store, and pass it to
//! the macro in a test file such as `tests/conformance.rs`:
//!
//! ```
//! use std::sync::Arc;
//! use dataapi_conformance::{Fixture, ManualClock, conformance};
//! use dataapi_core::{MemoryStore, RefKey};
//!
//! async fn fresh(clock: ManualClock) -> Fixture {
//!     // Make an empty store of your backend here, instead of this one in memory.
//!     let store = MemoryStore::new(Arc::new(clock), RefKey::from_bytes([7; 32]));
//!     // A fixture can keep something until the store is dropped.
//!     let directory = Arc::new("a temporary directory");
//!     Fixture::new(store).keeping(directory)
//! }
//!
//! conformance!(fresh);
//! # fn main() {
//! #     dataapi_conformance::uphold(&fresh, dataapi_conformance::gate::a_pending_dialog_cannot_be_read);
//! # }
//! ```
//!
//! Then run `cargo test`. A test that fails names the promise that the store broke, and its message says what the store
//! answered. [`uphold`] runs a single promise. [`Harness`] says what a store under test has to do.
//!
//! # Random histories
//!
//! The macro also adds the test `model::random_histories_match_the_reference_model`. It takes thousands of random steps
//! on your store and on the reference model [`MemoryStore`](dataapi_core::MemoryStore), and compares every answer. If
//! one differs, the test shrinks the history to a short one and prints the seed with which it can be repeated. See
//! [`model::random_histories_match_the_reference_model`] for the environment variables that set the seed and the number
//! of steps.
//!
//! Another test, `order::concurrent_histories_have_one_order`, has several clients call your store at once. It records
//! what they were told, and searches for an order of the calls that explains it. If several processes can use a store of
//! your backend, record histories of them too: the module [`order`] has what that takes.
//!
//! If your backend can be the source or the target of a copy, implement [`CopyHarness`] and call
//! [`model::copied_stores_go_on_like_the_reference_model`] from a test of your own.
//!
//! # What your own tests have to cover
//!
//! Some promises cannot be checked through the trait:
//!
//! - An acknowledged write survives a crash and a loss of power.
//! - The bytes of an erased dialog leave the files of the store.
//! - Several processes can use the same store, if your backend supports that.
//! - Each call costs no more than its documentation says.
//!
//! The module [`scene`] has helpers for such tests.
//!
//! # Modules
//!
//! | module | promises |
//! |---|---|
//! | [`gate`] | No text can be read before consent or after consent ended. |
//! | [`inserts`] | Each id is taken once, and a retry learns that it is done. |
//! | [`decisions`] | What a grant and a withdrawal do, and their receipts. |
//! | [`early`] | Decisions that come before their dialog. |
//! | [`erasure`] | Erasure of a dialog or a customer, retention, tombstones and scrubbing. |
//! | [`dates`] | Dates follow the clock and never go backwards. |
//! | [`values`] | Every valid value is returned byte for byte. |
//! | [`pages`] | Order, filters, totals, limits, offsets and cursors. |
//! | [`crawl`] | Following `next` while dialogs come and go. |
//! | [`subject`] | Everything held on one customer, and nothing of others. |
//! | [`import`] | Imported dialogs keep their dates. |
//! | [`ledger`] | Each decision and erasure is one chained event, and nothing else is an event. |
//! | [`reach`] | A reader with bounds sees and counts nothing outside them. |
//! | [`keys`] | Keys are stored by their hash, and a revoked key stays revoked. |
//! | [`stats`] | The counts are right after every kind of change. |
//! | [`revision`] | An answer can be reused while its revision lasts. |
//! | [`whole`] | A refused call changes nothing, and a dropped call happens whole or not at all. |
//! | [`races`] | When calls compete, exactly the promised ones win. |
//! | [`meanwhile`] | What readers see while writers are at work. |
//! | [`snapshots`] | Nobody sees a part of a call. Only for stores whose commits are [seen whole](Harness::commits_are_seen_whole). |
//! | [`model`] | Random histories have the same answers as the reference model. |
//! | [`order`] | Concurrent calls behave as if they ran one after the other. |
//! | [`scene`] | No promises, but helpers for tests. |

#![deny(missing_docs)]
#![allow(clippy::missing_panics_doc, reason = "a broken promise panics, as tests do")]

mod clock;
mod harness;
mod parallel;
mod promises;
mod settings;

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
pub mod order;
pub mod pages;
pub mod races;
pub mod reach;
pub mod revision;
pub mod scene;
pub mod snapshots;
pub mod stats;
pub mod subject;
pub mod values;
pub mod whole;

pub use clock::ManualClock;
pub use harness::{CopyHarness, Fixture, Harness, uphold};
pub use promises::PROMISES;

//! The storage traits, and what every implementation promises.
//!
//! | trait | who calls it |
//! |---|---|
//! | [`Dialogs`] | a chatbot, an analyst, an officer who answers a data subject |
//! | [`Ledger`] | an auditor, and a program that keeps a copy of the readable dialogs |
//! | [`Keys`] | an operator, and a server that checks requests |
//! | [`Upkeep`] | an operator and the process that holds the store; nobody over a network |
//!
//! [`DialogStore`] combines all four and says what every method promises. What a single method promises is documented
//! there.

mod allowance;
mod delegate;
mod dialogs;
mod keys;
mod ledger;
mod upkeep;

pub use allowance::Allowance;
pub use dialogs::{Dialogs, Stats};
pub use keys::Keys;
pub use ledger::Ledger;
pub use upkeep::{Activity, BatchSizes, Purge, Revision, StoreInfo, Upkeep};

/// A store of dialogs behind a consent gate. Every type that implements the four traits is one.
///
/// The methods of a `dyn DialogStore` can be called as they are. For a concrete type, import the traits with `use
/// dataapi_core::prelude::*`.
///
/// # What holds for every method
///
/// - **Atomic and durable.** A call that returns `Ok` has happened whole. In a durable backend it is on disk and
///   survives a loss of power. A call that returns `Err` has changed nothing, with one exception: after
///   [`StoreError::Unavailable`] or [`StoreError::Backend`] from a call that writes, the outcome can be unknown. The
///   write then happened whole or not at all, and asking again tells which. The same applies to a call whose future was
///   dropped before it was ready.
/// - **One order.** Calls behave as if they ran one after the other, each at some moment between its start and its end,
///   even across threads and across processes on the same store.
/// - **Seen whole.** Nobody sees a part of what a call changes. A store whose shards are in several databases may
///   promise less, and has to say so: while a call runs, others may see its changes shard by shard, and the items, the
///   total and the counts that they read may be of slightly different moments. Once the call has returned, everybody
///   sees all of it.
/// - **Gone is gone.** Once a withdrawal or an erasure has returned, no call that starts later returns the text, and no
///   call brings it back. Only an operator who purges the tombstone ([`Purge::Tombstones`]) makes the id free again.
/// - **Gone from the files.** Once the erasure delay that a durable backend documents is over, no file of the store
///   contains any byte of an erased dialog's text, id or customer (GDPR article 17).
/// - **One ledger.** Each grant, withdrawal, erasure and expiry is an [`Event`]. It is written together with the change
///   that it records or not at all, and is chained to the event before it in its chain. Nothing else is an event, and
///   no event ever changes.
/// - **Dates** that the store hands out never go backwards, even if its clock does.
/// - **Errors.** Any method can return [`StoreError::Overloaded`], [`StoreError::Unavailable`] or
///   [`StoreError::Backend`]. Each method documents the other errors that it returns.
///
/// `dataapi-conformance` tests these promises, and those of every method, on any backend. A backend's own tests have to
/// cover what needs a restart, a crash or a second process.
///
/// [`Event`]: crate::Event
/// [`StoreError::Unavailable`]: crate::StoreError::Unavailable
/// [`StoreError::Backend`]: crate::StoreError::Backend
/// [`StoreError::Overloaded`]: crate::StoreError::Overloaded
pub trait DialogStore: Dialogs + Ledger + Keys + Upkeep {}

impl<S: Dialogs + Ledger + Keys + Upkeep + ?Sized> DialogStore for S {}

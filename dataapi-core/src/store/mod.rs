//! The storage traits, and what every implementation of them promises.
//!
//! | trait | who calls it |
//! |---|---|
//! | [`Dialogs`] | a chatbot, an analyst, an officer who answers a data subject |
//! | [`Ledger`] | an auditor, and a program that keeps a copy of what can be read |
//! | [`Keys`] | an operator, and a server that checks requests |
//! | [`Upkeep`] | an operator and the process that holds the store; nobody over a network |
//!
//! [`DialogStore`] is all four. What all their methods promise is written there; what one method promises
//! is written on it.

mod delegate;
mod dialogs;
mod keys;
mod ledger;
mod upkeep;

pub use dialogs::{Dialogs, Stats};
pub use keys::Keys;
pub use ledger::Ledger;
pub use upkeep::{Activity, BatchSizes, Purge, Revision, StoreInfo, Upkeep};

/// A store of dialogs behind a consent gate: everything that has the four traits is one.
///
/// Call the methods on a `dyn DialogStore` as they are. On a concrete type, bring the traits into scope
/// with `use dataapi_core::prelude::*`.
///
/// # What holds for every method
///
/// - **Whole or not at all.** A call that returns `Ok` has happened whole and is durable: a
///   durable backend has it on disk, and it survives the loss of power. A call that returns `Err`
///   has changed nothing, with one exception: after [`StoreError::Unavailable`] and
///   [`StoreError::Backend`] from a call that writes, the change was made either whole or not at all.
///   The same is true of a call whose future was dropped before it was ready.
/// - **One order.** Calls behave as if they ran one after the other, each at some moment between
///   its start and its end, also across threads and across processes on one store.
/// - **Gone is gone.** After a withdrawal or an erasure has returned, no call that starts later
///   returns the text, and no call ever brings it back.
/// - **Gone from the files.** Within the erasure delay that a durable backend documents, no file of
///   the store has any byte of an erased dialog's text, id or customer left: GDPR article 17.
/// - **One ledger.** Each grant, withdrawal, erasure and expiry is an [`Event`], written with what it
///   records or not at all, and chained to the one before it in its chain. Nothing else is an event, and no
///   event ever changes.
/// - **Dates** that the store hands out never go backwards, also when its clock does.
/// - **Errors** may also be [`StoreError::Overloaded`], [`StoreError::Unavailable`] or
///   [`StoreError::Backend`] from any method; each method names the others that it returns.
///
/// `dataapi-conformance` tests each of these promises, and those of every method, on any backend. What takes
/// a restart, a crash or a second process is for the tests of the backend itself.
///
/// [`Event`]: crate::Event
/// [`StoreError::Unavailable`]: crate::StoreError::Unavailable
/// [`StoreError::Backend`]: crate::StoreError::Backend
/// [`StoreError::Overloaded`]: crate::StoreError::Overloaded
pub trait DialogStore: Dialogs + Ledger + Keys + Upkeep {}

impl<S: Dialogs + Ledger + Keys + Upkeep + ?Sized> DialogStore for S {}

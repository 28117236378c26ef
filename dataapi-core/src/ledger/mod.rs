//! The consent ledger: a hash chain with one event for each decision, erasure and expiry. Keep a [`ChainHead`], and you
//! can show later that no event up to it was changed, removed or added.
//!
//! An event names its dialog by [`DialogRef`](crate::DialogRef) and contains no text, no customer and no plain id. The
//! ledger is the controller's proof (GDPR articles 5(2) and 7(1)) and outlives the dialogs.
//!
//! A new store on one machine has one chain, number 0. A store that is spread over several machines has a chain for
//! each of its shards, so that no decision waits for another machine, and all events of a dialog are in the chain of
//! its shard. A copied store keeps the chains of its source unchanged and appends to chains of its own. A
//! [`LedgerHead`] signs off all chains with one hash.
//!
//! # The chain
//!
//! The hash of an event is SHA-256 (FIPS 180-4) over these bytes. Numbers are big-endian:
//!
//! | bytes | content |
//! |---|---|
//! | 32 | the hash of the previous event; 32 zeros for the first |
//! | 8 | the position: 1 for the first event, then one more for each event |
//! | 32 | the reference of the dialog |
//! | 1 | the kind: 1 granted, 2 withdrawn, 3 erased, 4 expired |
//! | 8 | the date: signed microseconds since 1970-01-01T00:00:00Z |
//! | 2 + n | for each of `notice`, `method` and `locale` in turn: its length in bytes, and the bytes; if it is missing, the length 65,535 and no bytes |
//!
//! A reader who is bound to customers or languages gets the events of other dialogs without notice, method and locale
//! ([`Event::without_evidence`]). The hash of such an event cannot be computed; it only gives the next event its
//! predecessor. [`Audit`] refuses it unless [`taking_hidden`](Audit::taking_hidden) says that it is expected.

mod audit;
mod chain;
mod event;

pub use audit::{Audit, BrokenChain};
pub use chain::{ChainHead, LedgerHead, Positions};
pub use event::{Change, Event, EventHash, EventKind};

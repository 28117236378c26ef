//! The consent ledger: one event for each decision, erasure and expiry, chained by hash. Keep
//! a [`ChainHead`], and you can tell later that nothing before it was edited, removed or added.
//!
//! An event names its dialog by [`DialogRef`](crate::DialogRef) and holds no text, no customer and no plain id: the
//! ledger is the controller's proof (GDPR articles 5(2) and 7(1)), and outlives what it proves.
//!
//! A store on one machine has one chain, number 0. A store that is spread over many has a chain for each of
//! its shards, so that no decision waits for one elsewhere: all events of one dialog are in one chain, and
//! a [`LedgerHead`] signs off all chains with one hash.
//!
//! # The chain
//!
//! The hash of an event is SHA-256 (FIPS 180-4) over these bytes, numbers big-endian:
//!
//! | bytes | of |
//! |---|---|
//! | 32 | the hash of the event before; 32 zeros before the first |
//! | 8 | the position: 1 for the first event, one more for each that follows |
//! | 32 | the reference of the dialog |
//! | 1 | the kind: 1 granted, 2 withdrawn, 3 erased, 4 expired |
//! | 8 | the date, in microseconds since 1970-01-01T00:00:00Z, signed |
//! | 2 + n | for each of `notice`, `method` and `locale` in turn: its length in bytes and the bytes; the length 65,535 and no bytes where there is none |

mod audit;
mod chain;
mod event;

pub use audit::{Audit, BrokenChain};
pub use chain::{ChainHead, LedgerHead, Positions};
pub use event::{Change, Event, EventHash, EventKind};

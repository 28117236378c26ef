//! Consent: decisions and their proof, the state of a dialog, and what every write does.
//!
//! ```text
//! absent ──insert──▶ pending ──grant──▶ consented ──withdrawal──▶ withdrawn
//!                       └───────────withdrawal───────────────────────▲
//! pending, consented ──erasure, expiry──▶ erased
//! ```
//!
//! Nothing leaves withdrawn or erased. A decision can come before its dialog if the store is asked to hold it: a
//! withdrawal leads from absent to withdrawn, and a grant makes the dialog consented when it is inserted.
//!
//! [`rules`] is this state machine. Every backend runs it, and none makes decisions of its own.

pub mod rules;
mod state;

pub use state::{ConsentState, ConsentStatus, Decision, EarlyDecision, HeldDecision, Receipt};

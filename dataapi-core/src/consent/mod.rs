//! Consent: decisions and their proof, how a dialog stands, and what every write does.
//!
//! ```text
//! absent ──insert──▶ pending ──grant──▶ consented ──withdrawal──▶ withdrawn
//!                       └───────────withdrawal───────────────────────▲
//! pending, consented ──erasure, expiry──▶ erased
//! ```
//!
//! Nothing leaves withdrawn or erased. A decision may come before its dialog if the store is asked to
//! hold it: a withdrawal leads from absent to withdrawn, a grant makes the dialog consented as it is
//! inserted.
//!
//! [`rules`] is this state machine: every backend runs it, and none decides for itself.

pub mod rules;
mod state;

pub use state::{ConsentState, ConsentStatus, Decision, EarlyDecision, HeldDecision, Receipt};

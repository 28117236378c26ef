//! The one error of a store: each variant is a way for the caller to react.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

/// A value outside its bounds: which field, and what it must be.
///
/// Holds the name of the field and the rule, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
#[non_exhaustive]
pub struct Invalid {
    /// The field's name as in the contract, such as `customer_id` or `limit`.
    pub field: &'static str,
    /// What the field must be, to be read after its name: "must be 1 to 255 bytes".
    pub reason: Cow<'static, str>,
}

impl Invalid {
    /// A refusal of `field`, where `reason` reads on after the name.
    pub fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field, reason: reason.into() }
    }

    /// The same refusal under the name by which the caller knows the field.
    #[must_use]
    pub fn of(self, field: &'static str) -> Self {
        Self { field, ..self }
    }
}

/// Why a store did not do what it was asked to.
///
/// After any of these nothing has changed, except after [`StoreError::Backend`] and
/// [`StoreError::Unavailable`] from a call that writes: then the change was made either whole or
/// not at all, and asking again tells which. No variant holds a text, an id or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such dialog, or none that this caller may know of. Do not retry.
    #[error("no such dialog")]
    NotFound,

    /// The dialog id is taken. With `same_content` an earlier try of the same insert succeeded,
    /// and the caller is done; otherwise choose another id.
    #[error("the dialog id is taken")]
    Exists {
        /// Customer, text and language are those already stored.
        same_content: bool,
    },

    /// The dialog is stored, but its customer has not consented. Ask again after a decision.
    #[error("the customer has not consented yet")]
    ConsentRequired,

    /// The dialog was withdrawn or erased, and its id is never taken again. Do not retry.
    #[error("the dialog was withdrawn or erased")]
    Gone,

    /// A *yes* came after a withdrawal or an erasure, which it cannot undo. Do not retry.
    #[error("a withdrawal or an erasure cannot be undone by a later yes")]
    Conflict,

    /// A value is outside its bounds. Mend the field named, then ask again.
    #[error("{field} {reason}")]
    Invalid {
        /// The field's name as in the contract.
        field: &'static str,
        /// What it must be, to be read after its name.
        reason: Cow<'static, str>,
    },

    /// The store has more waiting requests than it takes. Nothing was done; ask again later.
    #[error("the store is overloaded, retry in {} ms", retry_after.as_millis())]
    Overloaded {
        /// How long to wait before the next try.
        retry_after: Duration,
    },

    /// The store cannot be had just now: another process holds it, the disk is full, or it is
    /// being closed. Ask again later.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What is in the way, for the operator.
        reason: Cow<'static, str>,
        /// How long to wait before the next try.
        retry_after: Duration,
    },

    /// The backend failed in a way that a retry will not mend. Tell the operator.
    #[error("the storage backend failed")]
    Backend {
        /// The backend's own error.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// A failure of the backend that a retry will not mend.
    pub fn backend(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend { source: source.into() }
    }
}

impl From<Invalid> for StoreError {
    fn from(Invalid { field, reason }: Invalid) -> Self {
        Self::Invalid { field, reason }
    }
}

//! The error type of a store: each variant tells the caller how to react.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

/// A value outside its bounds: which field it is, and what it must be.
///
/// Holds the name of the field and the rule, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
#[non_exhaustive]
pub struct Invalid {
    /// The field's name in the API, such as `customer_id` or `limit`.
    pub field: &'static str,
    /// What the field must be, worded to follow its name: "must be 1 to 255 bytes".
    pub reason: Cow<'static, str>,
}

impl Invalid {
    /// Refuses `field`. The message is the field's name followed by `reason`.
    pub fn new(field: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { field, reason: reason.into() }
    }

    /// The same refusal under another name: the one by which the caller knows the field.
    #[must_use]
    pub fn of(self, field: &'static str) -> Self {
        Self { field, ..self }
    }
}

/// Why a store did not do what it was asked to do.
///
/// An error means that nothing changed, with one exception. After [`StoreError::Backend`] or
/// [`StoreError::Unavailable`] from a call that writes, the outcome of the commit can be unknown: the write happened
/// whole or not at all. Asking again tells which.
///
/// No variant contains a text, an id or a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such dialog, or none that this caller may know about. Do not retry.
    #[error("no such dialog")]
    NotFound,

    /// The dialog id is taken. If `same_content` is true, an earlier try of the same insert succeeded and the caller is
    /// done. Otherwise choose another id.
    #[error("the dialog id is taken")]
    Exists {
        /// Whether customer, text and language are the same as those already stored.
        same_content: bool,
    },

    /// The dialog is stored, but its customer has not consented. Ask again after a decision.
    #[error("the customer has not consented yet")]
    ConsentRequired,

    /// The dialog was withdrawn or erased, and its id stays taken. Do not retry.
    #[error("the dialog was withdrawn or erased")]
    Gone,

    /// A grant came after a withdrawal or an erasure and cannot undo it. Do not retry.
    #[error("a later grant cannot undo a withdrawal or an erasure")]
    Conflict,

    /// A value is outside its bounds. Correct the named field, then try again.
    #[error("{field} {reason}")]
    Invalid {
        /// The field's name in the API.
        field: &'static str,
        /// What the field must be, worded to follow its name.
        reason: Cow<'static, str>,
    },

    /// Too many requests are already waiting. Nothing was done. Try again later.
    #[error("the store is overloaded; retry in {} ms", retry_after.as_millis())]
    Overloaded {
        /// How long to wait before the next try.
        retry_after: Duration,
    },

    /// The store is not available at the moment: another process holds it, the disk is full, or the store is being
    /// closed. Try again later.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What is wrong, for the operator.
        reason: Cow<'static, str>,
        /// How long to wait before the next try.
        retry_after: Duration,
    },

    /// The backend failed in a way that a retry will not fix. Tell the operator.
    #[error("the storage backend failed")]
    Backend {
        /// The backend's own error.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Wraps a backend failure that a retry will not fix.
    pub fn backend(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Backend { source: source.into() }
    }
}

impl From<Invalid> for StoreError {
    fn from(Invalid { field, reason }: Invalid) -> Self {
        Self::Invalid { field, reason }
    }
}

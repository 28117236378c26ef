//! How much a read may hold in memory, asked while it reads: nobody knows before how long the dialogs of a page are.

use std::time::Duration;

use crate::error::StoreError;

/// Says how many bytes a read may hold. A server that shares its memory among callers implements it.
pub trait Allowance: Send + Sync {
    /// Whether the read may hold this many bytes in all. A read asks again as it grows, and ends when the answer is no.
    fn allows(&self, bytes: usize) -> bool;
}

/// Asks once for a whole result: for a store that cannot ask while it reads.
///
/// # Errors
/// [`StoreError::Overloaded`] if the result is not allowed.
pub(super) fn ask(
    allowance: &dyn Allowance,
    sizes: impl Iterator<Item = usize>,
) -> Result<(), StoreError> {
    if allowance.allows(sizes.sum()) {
        Ok(())
    } else {
        Err(StoreError::Overloaded { retry_after: Duration::from_secs(1) })
    }
}

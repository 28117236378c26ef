//! How many bytes a read may hold, counted row by row: on the caller's thread so many that they do not hold it up, and in
//! all as many as the caller allows.

use std::cell::Cell;
use std::sync::Arc;

use dataapi_core::Allowance;

use crate::error::{SqliteError, busy, overloaded};

/// How many bytes a read on the caller's thread may hold. To read them takes about a millisecond.
const ON_THE_CALLERS_THREAD: usize = 1 << 20;

/// Above this, a read asks for so many bytes at a time.
const STEP: usize = 1 << 20;

/// The bytes that a read holds.
pub(crate) struct Budget {
    held: Cell<usize>,
    asked: Cell<usize>,
    here: usize,
    allowance: Option<Arc<dyn Allowance>>,
}

impl Budget {
    /// The budget of a read on the caller's thread, or on a thread of the store.
    pub(crate) fn new(
        is_on_the_callers_thread: bool,
        allowance: Option<Arc<dyn Allowance>>,
    ) -> Self {
        let here = if is_on_the_callers_thread { ON_THE_CALLERS_THREAD } else { usize::MAX };
        Self { held: Cell::new(0), asked: Cell::new(0), here, allowance }
    }

    /// Counts further bytes.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), SqliteError> {
        let held = self.held.get().saturating_add(bytes);
        self.held.set(held);
        if held > self.here {
            // As if a lock were held: a thread of the store does it then.
            return Err(busy().into());
        }
        let Some(allowance) = self.allowance.as_ref().filter(|_| held > self.asked.get()) else {
            return Ok(());
        };
        // The steps double at first, so that a read asks some times and not for every row.
        let more = if held < STEP { held.next_power_of_two() } else { held.saturating_add(STEP) };
        if allowance.allows(more) {
            self.asked.set(more);
        } else if allowance.allows(held) {
            self.asked.set(held);
        } else {
            return Err(overloaded().into());
        }
        Ok(())
    }
}

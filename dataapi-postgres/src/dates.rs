//! The dates that this process hands out. They never go backwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dataapi_core::{Clock, Date};

/// The clock and the last date that was handed out.
#[derive(Debug)]
pub(crate) struct Dates {
    clock: Arc<dyn Clock>,
    last: AtomicI64,
}

impl Dates {
    pub(crate) fn new(clock: Arc<dyn Clock>, last: Date) -> Self {
        Self { clock, last: AtomicI64::new(last.as_micros()) }
    }

    /// Returns the current time, or the last date if the clock is behind it.
    pub(crate) fn now(&self) -> Date {
        // The number was a valid date when it was kept.
        let last = Date::from_micros(self.last.load(Ordering::Acquire)).unwrap_or(Date::MIN);
        self.clock.now().max(last)
    }

    /// Records a date. Call this before any caller learns the date.
    pub(crate) fn hand_out(&self, date: Date) {
        self.last.fetch_max(date.as_micros(), Ordering::AcqRel);
    }
}

//! Where a store gets the time from.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::values::Date;

/// The source of the time. Tests can replace it with a clock that they control.
///
/// A clock can jump, even backwards. The dates that a store hands out never go backwards.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Date;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Date {
        let micros = |by: Duration| i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let since_epoch = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => micros(after),
            Err(before) => -micros(before.duration()),
        };
        Date::clamped(since_epoch)
    }
}

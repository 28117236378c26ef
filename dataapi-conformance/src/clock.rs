//! A clock that a test controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use dataapi_core::{Clock, Date};

/// A clock that stands still until a test moves it, forwards or backwards.
///
/// Clones share the time: give one to the store and move the other.
///
/// ```
/// use std::time::Duration;
/// use dataapi_conformance::ManualClock;
/// use dataapi_core::Clock;
///
/// let clock = ManualClock::default();
/// let shared = clock.clone();
/// let before = shared.now();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(shared.now(), before.saturating_add(Duration::from_secs(1)));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `date`.
    pub fn starting_at(date: Date) -> Self {
        Self(Arc::new(AtomicI64::new(date.as_micros())))
    }

    /// Sets the clock to `date`, which can be later or earlier.
    pub fn set(&self, date: Date) {
        self.0.store(date.as_micros(), Ordering::SeqCst);
    }

    /// Moves the clock forward by `by`, at most to [`Date::MAX`].
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.saturating_add(by));
    }

    /// Moves the clock back by `by`, at most to [`Date::MIN`].
    pub fn jump_back(&self, by: Duration) {
        self.change(|now| now.saturating_sub(by));
    }

    fn change(&self, to: impl Fn(Date) -> Date) {
        let changed = |micros| Some(to(in_range(micros)).as_micros());
        // `changed` never refuses, so this always succeeds.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, changed);
    }
}

impl Default for ManualClock {
    /// Shows the middle of a day long after 1970, with microseconds, so that a store that truncates dates is found.
    fn default() -> Self {
        Self::starting_at(in_range(1_772_366_400_123_456))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Date {
        in_range(self.0.load(Ordering::SeqCst))
    }
}

/// The number came from a date or from the constant above, so it is in range.
fn in_range(micros: i64) -> Date {
    Date::from_micros(micros).unwrap_or(Date::MAX)
}

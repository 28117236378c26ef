//! Rates: how many requests each caller may make.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::access_log::Caller;

/// Each caller's requests of late.
#[derive(Debug)]
pub(crate) struct Rates(DefaultKeyedRateLimiter<Caller>);

impl Rates {
    /// So many a second, and as many at once after a pause.
    pub(crate) fn new(a_second: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_second(a_second)))
    }

    /// Counts a request, or tells after what time one is due again.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), Duration> {
        let until =
            |early: governor::NotUntil<_>| early.wait_time_from(DefaultClock::default().now());
        self.0.check_key(caller).map_err(until)
    }

    /// Forgets who has asked for nothing of late.
    pub(crate) fn forget(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

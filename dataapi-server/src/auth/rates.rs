//! Rate limits: how many requests each caller may make.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::auth::access_log::Caller;

/// The recent requests of each caller.
#[derive(Debug)]
pub(crate) struct Rates(DefaultKeyedRateLimiter<Caller>);

impl Rates {
    /// Allows this many requests per second, and as many at once after a pause.
    pub(crate) fn new(a_second: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_second(a_second)))
    }

    /// Counts a request. If it is over the limit, returns how long to wait before the next.
    pub(crate) fn check(&self, caller: &Caller) -> Result<(), Duration> {
        let until =
            |early: governor::NotUntil<_>| early.wait_time_from(DefaultClock::default().now());
        self.0.check_key(caller).map_err(until)
    }

    /// Forgets the callers without recent requests.
    pub(crate) fn forget(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

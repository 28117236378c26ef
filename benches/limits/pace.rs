//! The open loop: when each request is due, whether or not earlier ones were answered.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::outcome::Outcome;

/// The time between two looks at what is due. It makes a request at most that much late, and the processor is asked for
/// little.
const TICK: Duration = Duration::from_micros(100);

/// Requests at a steady rate, numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    started: Instant,
    rate: f64,
    total: u64,
}

impl Schedule {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub(crate) fn new(started: Instant, rate: f64, seconds: f64) -> Self {
        Self { started, rate, total: (rate * seconds) as u64 }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn due(&self, number: u64) -> Instant {
        self.started + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// How many requests are due at this time.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub(crate) fn due_by(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.started).as_secs_f64();
        ((passed * self.rate) as u64 + 1).min(self.total)
    }
}

/// Adds a permit for each request when it is due. Returns when the last one is.
pub(crate) async fn pace(schedule: Schedule, due: &Semaphore) -> Outcome<()> {
    let mut timer = Timer::start(TICK.max(Duration::from_secs_f64(1.0 / schedule.rate)))?;
    let mut permitted = 0;
    while permitted < schedule.total {
        timer.tick().await?;
        let by_now = schedule.due_by(Instant::now());
        due.add_permits(usize::try_from(by_now - permitted)?);
        permitted = by_now;
    }
    Ok(())
}

/// A timer of the kernel: the runtime's own knows only whole milliseconds.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn start(period: Duration) -> Outcome<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let period = Timespec::try_from(period)?;
        let every = Itimerspec { it_interval: period, it_value: period };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        #[allow(deprecated, reason = "it is sound for an `OwnedFd`, which stays open")]
        Ok(Self(AsyncFd::new(timer)?))
    }

    async fn tick(&mut self) -> Outcome<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut ticks = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut ticks)?)) {
                Ok(read) => return Ok(read.map(|_| ())?),
                Err(_would_block) => (),
            }
        }
    }
}

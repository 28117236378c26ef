//! Where the lines of the access log go, and what is said when they are lost.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::metrics::AccessLogMetrics;

/// Takes the lines of the access log, for [`Config::access_log`](crate::Config::access_log).
///
/// It is called on the threads that answer requests, by several at once, before the answer is sent. So it must not
/// wait: what would have to wait, such as for a slow reader, is an error.
pub trait AccessSink: fmt::Debug + Send + Sync {
    /// Takes one line: a JSON object and a line feed. A line is kept whole or not at all, and none is cut by another.
    ///
    /// # Errors
    /// If the line is lost. The server counts it, and warns once when lines begin to be lost. With
    /// [`Config::require_access_log`](crate::Config::require_access_log) it refuses the request.
    fn append(&self, line: &[u8]) -> io::Result<()>;
}

/// How long no line must be lost before the log counts as well again. So a sink that loses every other line is not told
/// at each of them.
const WELL_AFTER: Duration = Duration::from_secs(1);

/// A line that was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

/// A sink whose losses are counted.
#[derive(Debug)]
pub(crate) struct WatchedSink {
    sink: Arc<dyn AccessSink>,
    metrics: AccessLogMetrics,
    started: Instant,
    /// When the last line was lost, in microseconds after `started`.
    last_lost: AtomicU64,
    /// How many lines were lost that the log does not tell of yet.
    untold: AtomicU64,
}

impl WatchedSink {
    pub(crate) fn new(sink: Arc<dyn AccessSink>, metrics: AccessLogMetrics) -> Self {
        let (last_lost, untold) = <_>::default();
        Self { sink, metrics, started: Instant::now(), last_lost, untold }
    }

    pub(crate) fn append(&self, line: &[u8]) -> Result<(), Lost> {
        self.sink.append(line).map_err(|error| {
            self.metrics.lost.inc();
            self.untold.fetch_add(1, Ordering::Relaxed);
            self.last_lost.store(self.now(), Ordering::Relaxed);
            if self.metrics.failing.set(1) == 0 {
                tracing::warn!(%error, "the access log cannot be written; lines are lost");
            }
            Lost
        })
    }

    /// Called after a line was written. Once the log is well again, appends a line that tells how many were lost.
    pub(crate) fn tell_lost(&self, line: impl FnOnce(u64) -> Vec<u8>) {
        let Self { metrics, last_lost, untold, .. } = self;
        if metrics.failing.get() == 0 {
            return;
        }
        let well_for = self.now().saturating_sub(last_lost.load(Ordering::Relaxed));
        if u128::from(well_for) < WELL_AFTER.as_micros() || metrics.failing.set(0) == 0 {
            return;
        }
        let lost = untold.swap(0, Ordering::Relaxed);
        tracing::info!(lost, "the access log can be written again");
        if self.append(&line(lost)).is_err() {
            untold.fetch_add(lost, Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

//! Counts answers and their latencies: of a whole measurement, and of each second of it.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What was seen so far by one connection, or by all of them.
pub(crate) struct Tally {
    micros: Histogram<u32>,
    late_micros: Histogram<u32>,
    by_second: Vec<Second>,
    count: u64,
    all: u64,
    errors: BTreeMap<u16, u64>,
    /// The time from the beginning to the last answer that was counted.
    last: Duration,
}

/// The result of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// How many answers were in the 200s.
    pub(crate) count: u64,
    /// The same, with those of the warm-up.
    pub(crate) all: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
    /// How late the load generator itself sent requests, in an open loop: the 99th percentile. It is part of the
    /// latencies.
    pub(crate) late_p99_ms: f64,
    pub(crate) by_second: Vec<Second>,
    /// How many other answers there were, by status.
    pub(crate) errors: BTreeMap<u16, u64>,
}

/// The answers that came in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Second {
    pub(crate) count: u64,
    pub(crate) worst_ms: f64,
}

impl Tally {
    pub(crate) fn new() -> Outcome<Self> {
        let micros = Histogram::new_with_bounds(1, 60_000_000, 3)?;
        Ok(Self {
            late_micros: micros.clone(),
            micros,
            by_second: Vec::new(),
            count: 0,
            all: 0,
            errors: BTreeMap::new(),
            last: Duration::ZERO,
        })
    }

    /// Counts an answer in the 200s, in the warm-up as well.
    pub(crate) fn succeeded(&mut self) {
        self.all += 1;
    }

    /// Records the latency of a success that came `after` the beginning.
    pub(crate) fn record(&mut self, after: Duration, latency: Duration) {
        self.count += 1;
        self.micros.saturating_record(micros(latency));
        self.last = self.last.max(after);
        let second = self.second(usize::try_from(after.as_secs()).unwrap_or(usize::MAX));
        second.count += 1;
        second.worst_ms = second.worst_ms.max(latency.as_secs_f64() * 1_000.0);
    }

    pub(crate) fn record_late(&mut self, late: Duration) {
        self.late_micros.saturating_record(micros(late));
    }

    pub(crate) fn refused(&mut self, status: u16) {
        *self.errors.entry(status).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) -> Outcome<()> {
        self.micros.add(&other.micros)?;
        self.late_micros.add(&other.late_micros)?;
        self.count += other.count;
        self.all += other.all;
        for (status, count) in &other.errors {
            *self.errors.entry(*status).or_default() += count;
        }
        self.last = self.last.max(other.last);
        for (at, theirs) in other.by_second.iter().enumerate() {
            let ours = self.second(at);
            ours.count += theirs.count;
            ours.worst_ms = ours.worst_ms.max(theirs.worst_ms);
        }
        Ok(())
    }

    pub(crate) fn seen(self) -> Seen {
        let seconds = self.last.as_secs_f64();
        let millis = |histogram: &Histogram<u32>, quantile| {
            histogram.value_at_quantile(quantile) as f64 / 1_000.0
        };
        Seen {
            count: self.count,
            all: self.all,
            seconds,
            per_second: if seconds > 0.0 { self.count as f64 / seconds } else { 0.0 },
            p50_ms: millis(&self.micros, 0.5),
            p90_ms: millis(&self.micros, 0.9),
            p99_ms: millis(&self.micros, 0.99),
            p999_ms: millis(&self.micros, 0.999),
            max_ms: millis(&self.micros, 1.0),
            late_p99_ms: millis(&self.late_micros, 0.99),
            by_second: self.by_second,
            errors: self.errors,
        }
    }

    fn second(&mut self, at: usize) -> &mut Second {
        if self.by_second.len() <= at {
            self.by_second.resize(at + 1, Second::default());
        }
        &mut self.by_second[at]
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

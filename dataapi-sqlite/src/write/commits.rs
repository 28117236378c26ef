//! Counts commits, and the requests in each.

use std::sync::atomic::{AtomicU64, Ordering};

use dataapi_core::BatchSizes;

/// How many commits there were, by the number of their requests.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    counts: [AtomicU64; 12],
    sum: AtomicU64,
}

impl Commits {
    /// Counts a commit of `size` requests.
    pub(crate) fn count(&self, size: usize) {
        let size = size as u64;
        self.counts[BatchSizes::bucket(size)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// How many commits there were.
    pub(crate) fn number(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// How many requests they had in all.
    pub(crate) fn requests(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    pub(crate) fn sizes(&self) -> BatchSizes {
        BatchSizes {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

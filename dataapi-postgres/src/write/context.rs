//! What all tasks of a store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dataapi_core::{BatchSizes, RefKey};
use deadpool_postgres::Pool;

use crate::dates::Dates;
use crate::erase::Erasures;
use crate::shards::Shards;

/// What the lanes and the other tasks of a store share.
pub(crate) struct StoreContext {
    pub(crate) pool: Pool,
    pub(crate) key: RefKey,
    pub(crate) shards: Shards,
    pub(crate) is_spread: bool,
    pub(crate) dates: Arc<Dates>,
    pub(crate) erasures: Arc<Erasures>,
    pub(super) commits: Commits,
}

impl StoreContext {
    pub(crate) fn new(
        pool: Pool,
        key: RefKey,
        shards: Shards,
        is_spread: bool,
        dates: Arc<Dates>,
        erasures: Arc<Erasures>,
    ) -> Self {
        Self { pool, key, shards, is_spread, dates, erasures, commits: Commits::default() }
    }
}

/// The sizes of the commits so far.
#[derive(Debug, Default)]
pub(super) struct Commits {
    counts: [AtomicU64; 12],
    sum: AtomicU64,
}

impl Commits {
    pub(super) fn count(&self, size: usize) {
        let size = size as u64;
        self.counts[BatchSizes::bucket(size)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    pub(super) fn sizes(&self) -> BatchSizes {
        BatchSizes {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

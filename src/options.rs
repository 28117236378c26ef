//! Options for opening a store of any backend.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, SystemClock};

/// Options for opening a store.
#[derive(Clone)]
pub struct OpenOptions {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) create: bool,
    pub(crate) cache_bytes: usize,
    pub(crate) erase_within: Duration,
    pub(crate) shards: u16,
    pub(crate) read_replicas: Vec<String>,
}

/// URLs contain passwords, so this shows only the number of standbys.
impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("create", &self.create)
            .field("cache_bytes", &self.cache_bytes)
            .field("erase_within", &self.erase_within)
            .field("shards", &self.shards)
            .field("read_replicas", &self.read_replicas.len())
            .finish_non_exhaustive()
    }
}

impl Default for OpenOptions {
    /// The operating system's clock, 16 MiB of cache, and an erasure delay of one second. A missing store is created,
    /// in PostgreSQL with 32 shards.
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            create: true,
            cache_bytes: 16 << 20,
            erase_within: Duration::from_secs(1),
            shards: 32,
            read_replicas: Vec::new(),
        }
    }
}

impl OpenOptions {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Whether to create a missing store or to refuse it.
    #[must_use]
    pub fn create(self, create: bool) -> Self {
        Self { create, ..self }
    }

    /// About how many bytes of the store its backend caches in memory for writes. Reads use the operating system's
    /// cache.
    #[must_use]
    pub fn cache_bytes(self, cache_bytes: usize) -> Self {
        Self { cache_bytes, ..self }
    }

    /// The erasure delay: how long the bytes of a withdrawn or erased dialog can remain in a file of the store.
    /// [`Upkeep::scrub`](dataapi_core::Upkeep::scrub) waits until they are gone.
    #[must_use]
    pub fn erase_within(self, erase_within: Duration) -> Self {
        Self { erase_within, ..self }
    }

    /// How many shards a new store in PostgreSQL has, and chains its ledger: 1 to 1024. The number cannot be changed
    /// later. On Citus, it limits how many nodes can share the dialogs.
    #[must_use]
    pub fn shards(self, shards: u16) -> Self {
        Self { shards, ..self }
    }

    /// URLs of standbys of a store in PostgreSQL, which can serve pages. A standby is used only while it has everything
    /// that was decided and erased before the request for the page.
    #[must_use]
    pub fn read_replicas(self, read_replicas: Vec<String>) -> Self {
        Self { read_replicas, ..self }
    }
}

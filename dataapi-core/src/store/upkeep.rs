//! What only the process that holds a store can do: retention, scrubbing and monitoring.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::values::Date;
use crate::values::DialogId;
use crate::values::DialogRef;

/// What a store does not offer over a network: retention, scrubbing and monitoring. [`DialogStore`](super::DialogStore)
/// says what every method promises.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Applies retention (GDPR article 5(1)(e)): erases up to `at_most` dialogs in that state that were received before
    /// `before`, the oldest first. Leaves tombstones of kind [`Expired`](crate::EventKind::Expired) and returns how
    /// many dialogs it erased. A pending dialog that is decided on first is left alone.
    ///
    /// With [`Purge::Tombstones`] it forgets tombstones of dialogs that were gone before `before`. Their events stay in
    /// the ledger.
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError>;

    /// Returns how many dialogs or tombstones a [`purge`](Self::purge) without a maximum would take. Cost: a count
    /// along an index.
    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError>;

    /// Returns how the ledger names a dialog, whether or not the dialog exists. Cost: one hash; never waits.
    fn reference(&self, dialog_id: &DialogId) -> DialogRef;

    /// Succeeds if the store can serve reads and writes right now.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Scrubs the store now instead of within the erasure delay. Returns when no file of the store contains anything
    /// that was withdrawn or erased before the call. Cost: a few writes to the disk, which concurrent callers share.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if something else, such as a long read in another process, prevents it for several
    /// seconds. It is still done as soon as that ends.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// A revision of what can be read. If two calls return the same revision, every [`query`](crate::Dialogs::query)
    /// between them had the same answer, whichever process wrote in the meantime. A caller can therefore reuse an
    /// answer for as long as the revision stays the same, and no longer.
    ///
    /// `None` if the store cannot find out at far less cost than a page; then no answer can be reused. Cost: far less
    /// than a page. Never waits for a write.
    fn revision(&self) -> Option<Revision>;

    /// Describes the store, for a bug report. Cost: one look-up.
    async fn info(&self) -> Result<StoreInfo, StoreError>;

    /// Reports what the store is doing, for an operator to watch. Never waits.
    fn activity(&self) -> Activity;
}

/// What a purge takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purge {
    /// Pending dialogs whose consent did not come in time.
    Pending,
    /// Consented dialogs that were kept for long enough.
    Consented,
    /// Tombstones, and no dialogs. An id whose tombstone is forgotten counts as never used: a late retry or an import
    /// can bring its text back.
    Tombstones,
}

impl Purge {
    /// Whether it takes dialogs that are consented, or those that are not.
    pub const fn takes(self, is_consented: bool) -> bool {
        matches!((self, is_consented), (Self::Pending, false) | (Self::Consented, true))
    }
}

/// Identifies the set of dialogs that can be read. Only useful to compare with another revision of the same open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// Takes a backend's own count of the changes to what can be read.
    pub const fn new(changes: u64) -> Self {
        Self(changes)
    }
}

/// What a store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Write requests that are waiting for the next commit.
    pub queued: u64,
    /// How many requests can wait before more are refused as overloaded; 0 if there is no queue.
    pub queue_capacity: u64,
    /// How many write requests each commit so far contained.
    pub commits: BatchSizes,
    /// The age of the oldest erasure whose bytes might still be in a file of the store. Compare it with the erasure
    /// delay.
    pub unscrubbed: Option<Duration>,
}

/// A histogram of how many requests shared one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSizes {
    /// Commits by size: entry by entry up to 1, 2, 4, … 1024 requests and more than the bound before. The last entry
    /// counts all larger ones.
    pub counts: [u64; 12],
    /// How many requests all commits contained together.
    pub sum: u64,
}

impl BatchSizes {
    /// The upper bounds of all entries but the last.
    pub const BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

    /// The entry that counts a commit of `size` requests.
    pub fn bucket(size: u64) -> usize {
        Self::BOUNDS.partition_point(|bound| *bound < size)
    }
}

/// Describes a store without revealing its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// The name of the backend, such as `sqlite`, `postgres` or `memory`.
    pub backend: &'static str,
    /// The version of its schema; `None` if it has none.
    pub schema: Option<u32>,
    /// When a scrub last removed remains of erased dialogs from the files of the store. `None` if no scrub has had
    /// anything to do yet, or the store cannot tell. For PostgreSQL it is when a command last vacuumed the table of
    /// dialogs; the server forgets this when it crashes.
    pub last_scrub: Option<Date>,
}

//! What only the process that holds a store can do with it: retention, scrubbing, and a look at how it is.

use std::time::Duration;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::values::Date;
use crate::values::DialogId;
use crate::values::DialogRef;

/// What a store over a network does not offer: retention, scrubbing, and a look at how the store is.
/// [`DialogStore`](super::DialogStore) says what holds for every method.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Erases up to `at_most` dialogs of that state that were received before that date, the oldest
    /// first, leaving tombstones of kind [`Expired`](crate::EventKind::Expired), and returns
    /// how many: retention (GDPR article 5(1)(e)). A pending dialog that is decided on first is left
    /// alone.
    ///
    /// With [`Purge::Tombstones`] it forgets those of dialogs that were gone before that date; their
    /// events stay.
    async fn purge(&self, which: Purge, before: Date, at_most: u32) -> Result<u64, StoreError>;

    /// How many a [`purge`](Self::purge) would take if it could take all. Cost: a count along an
    /// index.
    async fn purgeable(&self, which: Purge, before: Date) -> Result<u64, StoreError>;

    /// How the ledger names a dialog, whether or not there is one. Cost: one hash; never waits.
    fn reference(&self, dialog_id: &DialogId) -> DialogRef;

    /// Succeeds when reads and writes are served right now.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Returns once nothing is left, in any file of the store, of what was withdrawn or erased before
    /// the call: at once what else happens within the erasure delay. Cost: a few writes to the disk,
    /// which all who ask at once share.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when what runs elsewhere, such as a long read in another process,
    /// keeps it from being done for seconds. It is still done as soon as that ends.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// What can be read now: two calls that return the same revision mean that every
    /// [`query`](crate::Dialogs::query) in between gave the same answer, whichever process wrote meanwhile.
    /// So an answer may be kept and given again, not a moment longer.
    ///
    /// `None` when the store cannot tell at far less cost than a page; then nothing may be kept.
    /// Cost: well below that of a page. Waits for no write.
    fn revision(&self) -> Option<Revision>;

    /// What the store is, for a bug report. Cost: a look-up.
    async fn info(&self) -> Result<StoreInfo, StoreError>;

    /// What the store is busy with, for an operator to watch. Never waits.
    fn activity(&self) -> Activity;
}

/// What a purge takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purge {
    /// Those whose consent never came.
    Pending,
    /// Those whose customer said yes, once they were kept for long enough.
    Consented,
    /// No dialogs, but what is left of gone ones. An id whose tombstone is forgotten counts as never
    /// used: a retry or an import that comes after that brings its text back.
    Tombstones,
}

impl Purge {
    /// Whether it takes dialogs that are consented to, or not.
    pub const fn takes(self, is_consented: bool) -> bool {
        matches!((self, is_consented), (Self::Pending, false) | (Self::Consented, true))
    }
}

/// Names the set of dialogs that can be read; of use only to be compared with another one of the
/// same open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

impl Revision {
    /// A backend's own count of the changes to what can be read.
    pub const fn new(changes: u64) -> Self {
        Self(changes)
    }
}

/// What a store is busy with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Write requests that wait for the next commit.
    pub queued: u64,
    /// How many may wait before more are refused as overloaded; 0 where there is no queue.
    pub queue_capacity: u64,
    /// How many write requests the commits so far were made of.
    pub commits: BatchSizes,
    /// How long ago the oldest erasure was of which bytes may still be in a file of the store; to be
    /// compared with the erasure delay.
    pub unscrubbed: Option<Duration>,
}

/// A histogram of how many requests shared one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSizes {
    /// How many commits had at most 1, 2, 4, … 1024 requests and more than the bound before; the
    /// last counts the larger ones.
    pub counts: [u64; 12],
    /// How many requests all commits had together.
    pub sum: u64,
}

impl BatchSizes {
    /// The upper bounds of all counts but the last.
    pub const BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

    /// The count that a commit of `size` requests belongs to.
    pub fn bucket(size: u64) -> usize {
        Self::BOUNDS.partition_point(|bound| *bound < size)
    }
}

/// What a store is, without a word of what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// The backend's name: `sqlite`, `postgres`, `memory`.
    pub backend: &'static str,
    /// The version of its schema; `None` where there is none.
    pub schema: Option<u32>,
    /// When a scrub last removed what was left of erased dialogs from the store's files; `None` if no scrub
    /// had anything to do yet, or the store cannot tell. Of a database server, when its table of dialogs was last vacuumed on
    /// command, which it forgets when it crashes.
    pub last_scrub: Option<Date>,
}

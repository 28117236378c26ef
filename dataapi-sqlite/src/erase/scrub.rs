//! Erasure to the byte: what was deleted leaves every file of the store.
//!
//! A deletion leaves bytes in two places. The write-ahead log holds the pages as they were, until it
//! is emptied. And a page that SQLite rebuilt may hold copies of rows that have moved elsewhere, at
//! which no later deletion looks ([`slack`](super::slack)). So every page that ever goes through the log is looked
//! at before the log begins anew, and what lies beside its rows is overwritten once the page is in
//! the database: no page outside the log holds anything but its rows.
//!
//! The log begins anew only once all of it is in the database, and only a [`Scrubber`] folds it in.
//! Beside the commits it therefore never folds in all; the rest follows while nobody may write, in
//! [`Scrubber::scrub`]. A process that dies between the two steps of that leaves a mark in the
//! store, and the next one to scrub looks at every page.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_core::Clock;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::erase::checkpoint::{CheckpointMode, checkpoint};
use crate::erase::erasures::Erasures;
use crate::erase::leftovers::Leftovers;
use crate::erase::marks::{Undone, left_undone, set_done, set_mark, set_undone};
use crate::erase::pages::Database;
use crate::erase::wal::{Wal, WalLock};
use crate::erase::wal_index::Header;
use crate::error::OpenError;
use crate::open::open_for_upkeep;

/// How long writers, here and in other processes, may keep the log busy before a try is given up.
const WRITERS: Duration = Duration::from_secs(1);

/// How long readers may be in the way while all writers wait.
const READERS: Duration = Duration::from_millis(100);

/// As many as are folded in while writers wait for a few milliseconds.
const FEW_FRAMES: u32 = 1_000;

/// How often the log is folded in beside the commits, before writers have to wait.
const MOST_TIMES_BESIDE: u32 = 3;

/// What keeps a store's files clean; one of each process is at work at a time.
#[derive(Debug)]
pub(crate) struct Scrubber {
    checkpoints: Connection,
    transactions: Connection,
    database: Database,
    wal: Wal,
    leftovers: Leftovers,
    clock: Arc<dyn Clock>,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScrubOutcome {
    /// Nothing is left of what was deleted before it began.
    Clean,
    /// A read or a write that runs is in the way; the store is as usable as before.
    Blocked,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Scrubber {
    /// Opens the store at this path, which its writer must have opened before.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let checkpoints = open_for_upkeep(path)?;
        checkpoints.busy_timeout(READERS)?;
        let transactions = open_for_upkeep(path)?;
        // From its first read on, the other files of the store are there.
        left_undone(&transactions)?;
        let page_bytes = transactions.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let files = OpenError::Files;
        let wal = Wal::open(path).map_err(files)?;
        let leftovers = Leftovers::open(path, wal.clone()).map_err(files)?;
        let database = Database::open(path, page_bytes).map_err(files)?;
        Ok(Self { checkpoints, transactions, database, wal, leftovers, clock })
    }

    /// The log of the store, to open another one on it.
    pub(crate) fn wal(&self) -> &Wal {
        &self.wal
    }

    /// What tells whether anyone has committed since.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.leftovers.header()
    }

    /// Folds into the database what is committed by now, beside the commits that go on; never all
    /// of it, since the log could then begin anew before it was looked through. What a read that began
    /// before still needs is left for the next time. Tells how many frames are folded in now, or `None`
    /// if nobody writes just now: then nothing was done.
    pub(crate) fn fold_in(&mut self) -> Result<Option<u32>, ScrubError> {
        // Nothing after this snapshot is folded in while it lasts.
        let pin = self.transactions.unchecked_transaction()?;
        left_undone(&pin)?;
        if !self.leftovers.log_grows()? {
            return Ok(None);
        }
        self.leftovers.look_through()?;
        let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
        Ok(Some(folded.done))
    }

    /// Folds in all of the log, overwrites what is left on the pages that were in it, and lets it
    /// begin anew.
    ///
    /// If anything was erased, what it held is overwritten. It is cut only if asked to: to make it longer
    /// again holds up each commit, so that with 64 writers it would cost a sixth of them.
    pub(crate) fn scrub(
        &mut self,
        erasures: &Erasures,
        empty: bool,
    ) -> Result<ScrubOutcome, ScrubError> {
        // Each time, less is committed meanwhile.
        let mut left = self.header()?.frames();
        for _ in 0..MOST_TIMES_BESIDE {
            if left <= FEW_FRAMES {
                break;
            }
            let Some(done) = self.fold_in()? else { break };
            left = self.header()?.frames().saturating_sub(done);
        }
        match self.wal.lock_next(WRITERS)? {
            Some(lock) => self.scrub_alone(&lock, erasures, empty),
            None => Ok(ScrubOutcome::Blocked),
        }
    }

    /// Finishes what a process that died may have left undone, if anything is.
    pub(crate) fn finish(&mut self, erasures: &Erasures) -> Result<ScrubOutcome, ScrubError> {
        if !left_undone(&self.transactions)?.any() {
            return Ok(ScrubOutcome::Clean);
        }
        match self.wal.lock(WRITERS)? {
            Some(lock) => self.scrub_alone(&lock, erasures, true),
            None => Ok(ScrubOutcome::Blocked),
        }
    }

    /// Closes the store, scrubbed if it `has_written` or anything is left undone: whoever only reads
    /// holds up nobody. The last connection of all takes the other files with it.
    pub(crate) fn close(mut self, erasures: &Erasures, has_written: bool) {
        let Ok(Some(lock)) = self.wal.lock(WRITERS) else { return };
        if self.is_clean(&lock, erasures, has_written).unwrap_or(false) {
            // Whatever cannot be removed now is left to the next one that opens the store.
            let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.checkpoints.set_db_config(no_checkpoint, false);
        }
        // The one that takes them is the last to close.
        drop(self.transactions);
        drop(self.checkpoints);
        drop(lock);
    }

    /// Whether the log is empty, after it was scrubbed if there is reason to.
    fn is_clean(
        &mut self,
        lock: &WalLock,
        erasures: &Erasures,
        has_written: bool,
    ) -> Result<bool, ScrubError> {
        let is_undone = left_undone(&self.transactions)?.any();
        let is_empty = self.header()?.frames() == 0;
        if is_undone || (has_written && !is_empty) {
            return Ok(self.scrub_alone(lock, erasures, true)? == ScrubOutcome::Clean);
        }
        Ok(is_empty)
    }

    fn scrub_alone(
        &mut self,
        lock: &WalLock,
        erasures: &Erasures,
        empty: bool,
    ) -> Result<ScrubOutcome, ScrubError> {
        self.leftovers.look_through()?;
        let undone = left_undone(&self.transactions)?;
        let has_suspects = undone.scrub || !self.leftovers.is_empty();
        if has_suspects && !self.overwrite(undone.scrub)? {
            return Ok(ScrubOutcome::Blocked);
        }
        let is_done = if empty {
            self.begin_log_anew(CheckpointMode::Truncate)?
        } else if undone.erasure {
            self.begin_blank_log(lock)?
        } else {
            self.begin_log_anew(CheckpointMode::Restart)?
        };
        // Written last, it need not be folded in while writers wait.
        if !is_done {
            let now = Undone { scrub: false, erasure: undone.erasure };
            if has_suspects || undone != now {
                set_undone(&self.transactions, now)?;
            }
            return Ok(ScrubOutcome::Blocked);
        }
        if has_suspects || undone.any() {
            set_done(&self.transactions, self.clock.now())?;
        }
        erasures.clear();
        Ok(ScrubOutcome::Clean)
    }

    /// False if a read is in the way.
    fn begin_log_anew(&self, mode: CheckpointMode) -> rusqlite::Result<bool> {
        Ok(!checkpoint(&self.checkpoints, mode)?.busy)
    }

    /// Lets the log begin anew and overwrites what it held, or cuts it where the file system knows no
    /// other way; false if a read is in the way.
    fn begin_blank_log(&self, lock: &WalLock) -> Result<bool, ScrubError> {
        if !self.begin_log_anew(CheckpointMode::Restart)? {
            return Ok(false);
        }
        // SQLite begins it anew with the next commit. Without its header, those that follow would be lost.
        let before = self.header()?.salt();
        set_undone(&self.transactions, Undone { scrub: false, erasure: true })?;
        // Keeps even other programs from writing to what is being overwritten.
        let alone = Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
        let now = self.header()?;
        if now.salt() == before {
            return Ok(false);
        }
        let is_blank = self.wal.blank(lock, now.frames(), self.database.page_bytes())?;
        drop(alone);
        Ok(is_blank || self.begin_log_anew(CheckpointMode::Truncate)?)
    }

    /// Folds in all of the log and overwrites what is left on the suspects, or on all pages; false
    /// if a read is in the way. The mark of a scrub stands from its beginning on, unless it is false.
    fn overwrite(&mut self, everywhere: bool) -> Result<bool, ScrubError> {
        set_mark(&self.transactions, true)?;
        // Keeps even other programs from writing, so that nobody else has a page to fold in.
        let alone = Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
        if !self.fold_in_all()? {
            drop(alone);
            set_mark(&self.transactions, everywhere)?;
            return Ok(false);
        }
        if everywhere {
            self.database.clean_all()?;
        } else {
            for number in self.leftovers.pages() {
                self.database.clean(number)?;
            }
        }
        self.database.sync()?;
        drop(alone);
        self.leftovers.clear();
        Ok(true)
    }

    /// Folds in all of the log while nobody writes; false if a read is in the way.
    fn fold_in_all(&self) -> rusqlite::Result<bool> {
        const PAUSE: Duration = Duration::from_millis(1);
        let started = Instant::now();
        loop {
            let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
            if !folded.busy && folded.done == folded.frames {
                return Ok(true);
            }
            // Reads that begin now need nothing that is not folded in.
            if started.elapsed() >= READERS {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

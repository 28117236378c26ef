//! Checkpoints the log, and scrubs the files of a store. [`erase`](super) describes how and why.

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

/// How long a scrub waits for the lock on the log, against writers here and in other processes, before it gives up.
const WRITERS: Duration = Duration::from_secs(1);

/// How long a scrub waits for readers, while all writers wait for the scrub.
const READERS: Duration = Duration::from_millis(100);

/// How many frames a scrub leaves to be checkpointed while writers wait. It takes a few milliseconds.
const FEW_FRAMES: u32 = 1_000;

/// How often a scrub checkpoints while commits continue, before it makes writers wait.
const MOST_TIMES_BESIDE: u32 = 3;

/// Keeps the files of a store clean. Each open store has one; the lock on the log lets one scrub at a time.
#[derive(Debug)]
pub(crate) struct Scrubber {
    /// Checkpoints while `transactions` holds the write lock.
    checkpoints: Connection,
    transactions: Connection,
    database: Database,
    wal: Wal,
    leftovers: Leftovers,
    clock: Arc<dyn Clock>,
}

/// The outcome of a scrub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScrubOutcome {
    /// Nothing is left of what was deleted before the scrub began.
    Clean,
    /// A running read or write kept the scrub from finishing. The store is as usable as before.
    Blocked,
}

/// Why a scrub failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Scrubber {
    /// Opens the store at `path`; the writer must have opened it before.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let checkpoints = open_for_upkeep(path)?;
        checkpoints.busy_timeout(READERS)?;
        let transactions = open_for_upkeep(path)?;
        // The first read makes sure that the log and the shared memory exist.
        left_undone(&transactions)?;
        let page_bytes = transactions.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let files = OpenError::Files;
        let wal = Wal::open(path).map_err(files)?;
        let leftovers = Leftovers::open(path, wal.clone()).map_err(files)?;
        let database = Database::open(path, page_bytes).map_err(files)?;
        Ok(Self { checkpoints, transactions, database, wal, leftovers, clock })
    }

    /// The log of the store.
    pub(crate) fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The header of the log's index, which every commit changes.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.leftovers.header()
    }

    /// Checkpoints what is committed so far, while commits continue. Returns how many frames are checkpointed now.
    ///
    /// It never checkpoints the whole log: the log could then restart before all its pages are inspected. So it
    /// needs a commit that comes after its snapshot. If none comes within some milliseconds, it does nothing and
    /// returns `None`. Frames that an older read still needs are left for the next time.
    pub(crate) fn fold_in(&mut self) -> Result<Option<u32>, ScrubError> {
        // While this snapshot lasts, SQLite checkpoints nothing that was committed after it.
        let pin = self.transactions.unchecked_transaction()?;
        left_undone(&pin)?;
        if !self.leftovers.log_grows()? {
            return Ok(None);
        }
        self.leftovers.look_through()?;
        let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
        Ok(Some(folded.done))
    }

    /// Checkpoints the whole log, overwrites the leftovers of its pages, and restarts it.
    ///
    /// If anything was erased, the old frames of the log are overwritten. With `empty`, the log is cut to length zero
    /// instead. Later commits then have to extend the file again: with 64 writers, that costs a sixth of all commits.
    pub(crate) fn scrub(
        &mut self,
        erasures: &Erasures,
        empty: bool,
    ) -> Result<ScrubOutcome, ScrubError> {
        // Each checkpoint is shorter than the one before, so fewer frames are committed during it.
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

    /// Does what a process that died left undone, if the marks say so.
    pub(crate) fn finish(&mut self, erasures: &Erasures) -> Result<ScrubOutcome, ScrubError> {
        if !left_undone(&self.transactions)?.any() {
            return Ok(ScrubOutcome::Clean);
        }
        match self.wal.lock(WRITERS)? {
            Some(lock) => self.scrub_alone(&lock, erasures, true),
            None => Ok(ScrubOutcome::Blocked),
        }
    }

    /// Closes the store. Scrubs it first if this process `has_written` or the marks say so: a process that only reads
    /// delays nobody. The last connection to close, of all processes, removes the log and the shared memory.
    pub(crate) fn close(mut self, erasures: &Erasures, has_written: bool) {
        let Ok(Some(lock)) = self.wal.lock(WRITERS) else { return };
        if self.is_clean(&lock, erasures, has_written).unwrap_or(false) {
            // If this fails, the files stay until the store is opened and closed again.
            let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.checkpoints.set_db_config(no_checkpoint, false);
        }
        // The connection that can remove the files closes last.
        drop(self.transactions);
        drop(self.checkpoints);
        drop(lock);
    }

    /// Scrubs the store if there is a reason to. Returns whether the log is clean, so that SQLite can checkpoint the
    /// rest of it and remove it.
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

    /// Scrubs while the caller holds the lock on the log.
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
        // The marks are written after the checkpoint, so that writers need not wait for a checkpoint of them.
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

    /// Restarts or cuts the log. Returns false if a read uses the log.
    fn begin_log_anew(&self, mode: CheckpointMode) -> rusqlite::Result<bool> {
        Ok(!checkpoint(&self.checkpoints, mode)?.busy)
    }

    /// Restarts the log and overwrites its old frames, or cuts it if the file system cannot overwrite them. Returns
    /// false if a read uses the log.
    fn begin_blank_log(&self, lock: &WalLock) -> Result<bool, ScrubError> {
        if !self.begin_log_anew(CheckpointMode::Restart)? {
            return Ok(false);
        }
        // SQLite restarts the log with the next commit, which also writes the header of the log. That commit has to
        // come first: if the header were overwritten, later commits would be lost.
        let before = self.header()?.salt();
        set_undone(&self.transactions, Undone { scrub: false, erasure: true })?;
        // Keeps even programs that do not know the lock on the log from writing to what is being overwritten.
        let alone = Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
        let now = self.header()?;
        if now.salt() == before {
            return Ok(false);
        }
        let is_blank = self.wal.blank(lock, now.frames(), self.database.page_bytes())?;
        drop(alone);
        Ok(is_blank || self.begin_log_anew(CheckpointMode::Truncate)?)
    }

    /// Checkpoints the whole log, and overwrites the leftovers of the pages that were noted, or of all pages
    /// (`everywhere`). Returns false if a read uses the log; then it has overwritten nothing.
    ///
    /// It sets the mark of a scrub before it begins. If it returns true, the caller clears the mark.
    fn overwrite(&mut self, everywhere: bool) -> Result<bool, ScrubError> {
        set_mark(&self.transactions, true)?;
        // Keeps even programs that do not know the lock on the log from committing. So once the log is checkpointed,
        // nobody has a page left to copy over what is overwritten here.
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

    /// Checkpoints the whole log while nobody writes. Returns false if a read uses it for too long.
    fn fold_in_all(&self) -> rusqlite::Result<bool> {
        const PAUSE: Duration = Duration::from_millis(1);
        let started = Instant::now();
        loop {
            let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
            if !folded.busy && folded.done == folded.frames {
                return Ok(true);
            }
            // Only reads that began before the last commit are in the way. A read that begins now is not: it sees the
            // end of the log.
            if started.elapsed() >= READERS {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }
}

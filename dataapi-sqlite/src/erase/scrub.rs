//! Checkpoints the log, and scrubs the files of a store. [`erase`](super) describes how and why.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_core::{Clock, Date};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::erase::checkpoint::{CheckpointMode, checkpoint};
use crate::erase::erasures::Erasures;
use crate::erase::leftovers::Leftovers;
use crate::erase::marks::{
    Undone, grow_log, left_undone, set_done, set_mark, set_time, set_undone,
};
use crate::erase::pages::Database;
use crate::erase::wal::{Wal, WalLock};
use crate::erase::wal_index::Header;
use crate::error::{OpenError, is_disk_failure};
use crate::open::open_for_upkeep;
use crate::rows::event_number::EventNumber;
use crate::rows::ledger;

/// How long a scrub waits for the lock on the log, against writers here and in other processes, before it gives up.
const WRITERS: Duration = Duration::from_secs(1);

/// How long a scrub waits for readers while all writers wait for the scrub, if the store is in use.
const READERS: Duration = Duration::from_millis(5);

/// How long it waits for readers when the store is opened or closed.
const LAST_READERS: Duration = Duration::from_millis(100);

/// How many frames a scrub leaves to be checkpointed while writers wait. It takes about a millisecond.
const FEW_FRAMES: u32 = 100;

/// How often a scrub checkpoints while commits continue, before it makes writers wait.
const MOST_TIMES_BESIDE: u32 = 8;

/// How many bytes of the log are overwritten at once while writers wait. It takes half a millisecond.
const SLICE: u64 = 4 << 20;

/// In how many slices a log is overwritten at most: one that a read has kept from restarting can be long.
const MOST_SLICES: u64 = 32;

/// The time between two slices. Writers commit meanwhile.
const BETWEEN_SLICES: Duration = Duration::from_millis(2);

/// Keeps the files of a store clean. Each open store has one; the lock on the log lets one scrub at a time.
#[derive(Debug)]
pub(crate) struct Scrubber {
    /// Checkpoints while `transactions` holds a snapshot or the write lock.
    checkpoints: Connection,
    transactions: Connection,
    database: Database,
    wal: Wal,
    leftovers: Leftovers,
    clock: Arc<dyn Clock>,
    /// Whether a sync of the database file may have failed. Then pages that were checkpointed before may never reach the
    /// disk, though SQLite takes them for done: the whole log must not be checkpointed before they are written again.
    is_in_doubt: bool,
}

/// The outcome of a scrub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScrubOutcome {
    /// Nothing is left of what was deleted before the scrub began.
    Clean,
    /// A running read or write kept the scrub from finishing. The store is as usable as before.
    Blocked,
}

/// What a checkpoint beside the commits has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing was committed, so it did nothing.
    Quiet,
    /// What was committed meanwhile. So many frames of the log are `done`, and so many are `left`.
    Folded { done: u32, left: u32 },
    /// Another program is in the way, mostly a read that began earlier.
    InTheWay,
}

/// How far a scrub came while writers waited for it.
enum Restart {
    /// It is done.
    Done,
    Blocked,
    /// The log has been restarted, and its old frames hold bytes of what was erased before.
    HasOldFrames(Since),
}

/// The moment when a scrub restarted the log.
#[derive(Clone, Copy)]
struct Since {
    date: Date,
    last_event: EventNumber,
}

/// Why a scrub failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

impl From<ScrubError> for OpenError {
    fn from(error: ScrubError) -> Self {
        match error {
            ScrubError::Sqlite(error) => error.into(),
            ScrubError::File(error) => Self::Files(error),
        }
    }
}

impl ScrubError {
    /// Whether the disk failed.
    fn is_of_disk(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_disk_failure(error),
            Self::File(error) => error.raw_os_error().is_some(),
        }
    }
}

impl Scrubber {
    /// Opens the store at `path`; the writer must have opened it before.
    pub(crate) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let checkpoints = open_for_upkeep(path)?;
        // SQLite waits longer each time. The scrubber looks again more often (`within`).
        checkpoints.busy_timeout(Duration::ZERO)?;
        let transactions = open_for_upkeep(path)?;
        // The first read makes sure that the log and the shared memory exist.
        left_undone(&transactions)?;
        let page_bytes = transactions.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let files = OpenError::Files;
        let wal = Wal::open(path).map_err(files)?;
        let leftovers = Leftovers::open(path, wal.clone()).map_err(files)?;
        let database = Database::open(path, page_bytes).map_err(files)?;
        let is_in_doubt = false;
        Ok(Self { checkpoints, transactions, database, wal, leftovers, clock, is_in_doubt })
    }

    /// The log of the store.
    pub(crate) fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The header of the log's index, which every commit changes.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.leftovers.header()
    }

    /// Checkpoints what is committed so far and overwrites its leftovers, while commits continue.
    ///
    /// It never checkpoints the whole log: if this process died then, another one could restart the log before the
    /// leftovers of its last pages are overwritten. So it needs a commit that comes after its snapshot. If none comes
    /// within some milliseconds, it does nothing.
    pub(crate) fn fold_in(&mut self) -> Result<Beside, ScrubError> {
        let outcome = self.checkpoint_beside();
        self.noted(outcome)
    }

    /// Notes whether the disk failed.
    fn noted<T>(&mut self, outcome: Result<T, ScrubError>) -> Result<T, ScrubError> {
        if let Err(error) = &outcome
            && error.is_of_disk()
        {
            self.is_in_doubt = true;
        }
        outcome
    }

    fn checkpoint_beside(&mut self) -> Result<Beside, ScrubError> {
        // While this snapshot lasts, no process checkpoints what was committed after it. So the database file stays
        // as it is once this checkpoint is done, and the unused space of its pages can be overwritten.
        let Some((pin, state)) = snapshot(&self.transactions, &self.leftovers)? else {
            return Ok(Beside::InTheWay);
        };
        if !self.leftovers.log_grows(&state)? {
            if !self.is_in_doubt {
                return Ok(Beside::Quiet);
            }
            grow_log(&self.checkpoints)?;
        }
        if self.is_in_doubt {
            self.leftovers.look_again();
        }
        self.leftovers.look_through(&state)?;
        let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
        if folded.done != state.frames() {
            return Ok(Beside::InTheWay);
        }
        if self.is_in_doubt {
            write_again(&state, &self.wal, &mut self.database)?;
            self.is_in_doubt = false;
        }
        self.database.clean_these(self.leftovers.pages())?;
        self.leftovers.clear();
        drop(pin);
        let done = folded.done;
        Ok(Beside::Folded { done, left: self.header()?.frames().saturating_sub(done) })
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
        let outcome = self.scrub_beside(erasures, empty);
        self.noted(outcome)
    }

    fn scrub_beside(
        &mut self,
        erasures: &Erasures,
        empty: bool,
    ) -> Result<ScrubOutcome, ScrubError> {
        // Each checkpoint is shorter than the one before, so fewer frames are committed during it.
        for _ in 0..MOST_TIMES_BESIDE {
            match self.fold_in()? {
                Beside::Folded { left, .. } if left > FEW_FRAMES => {}
                Beside::Folded { .. } | Beside::Quiet => break,
                // The writers need not wait for what cannot be done yet.
                Beside::InTheWay => return Ok(ScrubOutcome::Blocked),
            }
        }
        let Some(lock) = self.wal.lock_next(WRITERS)? else { return Ok(ScrubOutcome::Blocked) };
        if empty {
            return self.scrub_alone(&lock, erasures, READERS);
        }
        match self.restart_log(erasures)? {
            Restart::Done => Ok(ScrubOutcome::Clean),
            Restart::Blocked => Ok(ScrubOutcome::Blocked),
            Restart::HasOldFrames(since) => {
                drop(lock);
                let outcome = self.blank_old_frames(erasures, since);
                if !matches!(outcome, Ok(ScrubOutcome::Clean)) {
                    erasures.give_up_scrub();
                }
                outcome
            }
        }
    }

    /// Makes sure that the whole log is on the disk. If a process died after a sync had failed, SQLite takes frames for
    /// committed that never reached the disk, and a power loss would lose all commits that follow them.
    pub(crate) fn keep_log(&self) -> Result<(), ScrubError> {
        // Other processes that have the store open know which of their syncs have failed.
        if self.wal.length()? == 0 || !self.leftovers.is_alone()? {
            return Ok(());
        }
        let Some(lock) = self.wal.lock(WRITERS)? else { return Ok(()) };
        let immediate = TransactionBehavior::Immediate;
        let _alone = Transaction::new_unchecked(&self.transactions, immediate)?;
        Ok(self.wal.write_again(&lock)?)
    }

    /// Does what a process that died left undone, if the marks say so.
    pub(crate) fn finish(&mut self, erasures: &Erasures) -> Result<ScrubOutcome, ScrubError> {
        if !left_undone(&self.transactions)?.any() {
            return Ok(ScrubOutcome::Clean);
        }
        match self.wal.lock(WRITERS)? {
            Some(lock) => {
                let outcome = self.scrub_alone(&lock, erasures, LAST_READERS);
                self.noted(outcome)
            }
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
        if self.is_in_doubt {
            return Ok(false);
        }
        let is_undone = left_undone(&self.transactions)?.any();
        let is_empty = self.header()?.frames() == 0;
        if is_undone || (has_written && !is_empty) {
            return Ok(self.scrub_alone(lock, erasures, LAST_READERS)? == ScrubOutcome::Clean);
        }
        Ok(is_empty)
    }

    /// Scrubs and cuts the log while the caller holds the lock on the log.
    fn scrub_alone(
        &mut self,
        _: &WalLock,
        erasures: &Erasures,
        patience: Duration,
    ) -> Result<ScrubOutcome, ScrubError> {
        let undone = left_undone(&self.transactions)?;
        let Some(has_suspects) = self.overwrite_suspects(undone, patience)? else {
            return Ok(ScrubOutcome::Blocked);
        };
        let is_cut = self.begin_log_anew(CheckpointMode::Truncate, patience)?;
        self.set_marks(undone, has_suspects, is_cut)?;
        if !is_cut {
            return Ok(ScrubOutcome::Blocked);
        }
        erasures.forget();
        Ok(ScrubOutcome::Clean)
    }

    /// Checkpoints the rest of the log and restarts it, while writers wait.
    fn restart_log(&mut self, erasures: &Erasures) -> Result<Restart, ScrubError> {
        let undone = left_undone(&self.transactions)?;
        let Some(has_suspects) = self.overwrite_suspects(undone, READERS)? else {
            return Ok(Restart::Blocked);
        };
        let before = self.header()?.salt();
        let is_done = self.begin_log_anew(CheckpointMode::Restart, READERS)?;
        if !is_done {
            self.set_marks(undone, has_suspects, false)?;
            return Ok(Restart::Blocked);
        }
        if !undone.erasure {
            self.set_marks(undone, has_suspects, true)?;
            // What was noted here was never committed, or another process has scrubbed it.
            erasures.forget();
            return Ok(Restart::Done);
        }
        // SQLite restarts the log with the next commit, which also writes the header of the log. That commit has to
        // come first: if the header were overwritten, later commits would be lost.
        set_undone(&self.transactions, Undone { scrub: false, erasure: true })?;
        if self.header()?.salt() == before {
            return Ok(Restart::Blocked);
        }
        erasures.begin_scrub();
        let last_event = ledger::last_number(&self.transactions)?;
        Ok(Restart::HasOldFrames(Since { date: self.clock.now(), last_event }))
    }

    /// Writes the marks after the checkpoint, so that writers need not wait for a checkpoint of them.
    fn set_marks(
        &self,
        undone: Undone,
        has_suspects: bool,
        is_done: bool,
    ) -> Result<(), ScrubError> {
        let left = Undone { scrub: false, erasure: undone.erasure };
        if is_done && (has_suspects || undone.any()) {
            set_done(&self.transactions, self.clock.now())?;
        } else if has_suspects || undone != left {
            set_undone(&self.transactions, left)?;
        }
        Ok(())
    }

    /// Overwrites the frames from before the last restart of the log, in slices, while commits continue.
    ///
    /// Commits overwrite some of them too. What is behind the last frame is old, so each slice ends there.
    fn blank_old_frames(
        &mut self,
        erasures: &Erasures,
        since: Since,
    ) -> Result<ScrubOutcome, ScrubError> {
        let mut end = self.wal.length()?;
        let slice = SLICE.max(end / MOST_SLICES);
        loop {
            let Some(lock) = self.wal.lock_next(WRITERS)? else {
                return Ok(ScrubOutcome::Blocked);
            };
            // Keeps even programs that do not know the lock on the log from writing to what is being overwritten.
            let alone =
                Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
            let written = Wal::offset(self.header()?.frames(), self.database.page_bytes());
            let start = written.max(end.saturating_sub(slice));
            let is_blank = self.wal.blank(&lock, start..end);
            drop(alone);
            if !is_blank {
                return self.scrub_alone(&lock, erasures, READERS);
            }
            if start == written || start >= end {
                break;
            }
            drop(lock);
            end = start;
            std::thread::sleep(BETWEEN_SLICES);
        }
        self.wal.sync()?;
        let Some(_lock) = self.wal.lock_next(WRITERS)? else { return Ok(ScrubOutcome::Blocked) };
        if ledger::erases_after(&self.transactions, since.last_event)? {
            // This process or another one: bytes of that are in the log again.
            set_time(&self.transactions, since.date)?;
        } else {
            set_done(&self.transactions, since.date)?;
        }
        erasures.end_scrub();
        Ok(ScrubOutcome::Clean)
    }

    /// Restarts or cuts the log. Returns false if a read uses the log for too long.
    fn begin_log_anew(&self, mode: CheckpointMode, patience: Duration) -> rusqlite::Result<bool> {
        within(patience, || Ok(!checkpoint(&self.checkpoints, mode)?.busy))
    }

    /// Inspects the rest of the log. If there are leftovers, in the database or in this rest, checkpoints the whole log
    /// and overwrites them. Returns whether there were any; `None` if a read uses the log for too long, and then
    /// nothing is overwritten.
    ///
    /// It sets the mark of a scrub before it begins. The caller clears it.
    fn overwrite_suspects(
        &mut self,
        undone: Undone,
        patience: Duration,
    ) -> Result<Option<bool>, ScrubError> {
        let state = self.header()?;
        self.leftovers.look_through(&state)?;
        if !undone.scrub && self.leftovers.is_empty() {
            return Ok(Some(false));
        }
        set_mark(&self.transactions, true)?;
        // Keeps even programs that do not know the lock on the log from committing. So once the log is checkpointed,
        // nobody has a page left to copy over what is overwritten here.
        let alone = Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
        if !self.fold_in_all(patience)? {
            drop(alone);
            set_mark(&self.transactions, undone.scrub)?;
            return Ok(None);
        }
        if undone.scrub {
            self.database.clean_all()?;
        } else {
            self.database.clean_these(self.leftovers.pages())?;
        }
        self.leftovers.clear();
        drop(alone);
        Ok(Some(true))
    }

    /// Checkpoints the whole log while nobody writes. Returns false if a read uses it for too long.
    ///
    /// Only reads that began before the last commit are in the way. A read that begins now is not: it sees the end of
    /// the log.
    fn fold_in_all(&self, patience: Duration) -> rusqlite::Result<bool> {
        within(patience, || {
            let folded = checkpoint(&self.checkpoints, CheckpointMode::Passive)?;
            Ok(!folded.busy && folded.done == folded.frames)
        })
    }
}

/// Writes the pages of these frames to the database once more, which were checkpointed already, and waits until they are
/// on the disk.
fn write_again(state: &Header, wal: &Wal, database: &mut Database) -> io::Result<()> {
    database.write_again()?;
    let mut written = Ok(());
    let put = |number, page: &[u8]| {
        if written.is_ok() {
            written = database.put(number, page);
        }
    };
    let frames = state.frames();
    if frames > 0 && !wal.pages(state.salt(), 0, frames, put)? {
        return Err(io::ErrorKind::InvalidData.into());
    }
    written?;
    database.sync()
}

/// Begins a snapshot whose place in the log is known. Returns `None` if others commit without a pause.
fn snapshot<'c>(
    connection: &'c Connection,
    leftovers: &Leftovers,
) -> Result<Option<(Transaction<'c>, Header)>, ScrubError> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        let before = leftovers.header()?;
        let snapshot = connection.unchecked_transaction()?;
        left_undone(&snapshot)?;
        if leftovers.header()? == before {
            return Ok(Some((snapshot, before)));
        }
    }
    Ok(None)
}

/// Tries again and again until it is done or `patience` is over. Returns whether it is done.
fn within(
    patience: Duration,
    mut is_done: impl FnMut() -> rusqlite::Result<bool>,
) -> rusqlite::Result<bool> {
    const PAUSE: Duration = Duration::from_micros(250);
    let started = Instant::now();
    loop {
        if is_done()? {
            return Ok(true);
        }
        if started.elapsed() >= patience {
            return Ok(false);
        }
        std::thread::sleep(PAUSE);
    }
}

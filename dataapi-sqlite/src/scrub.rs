//! Erasure to the byte: what was deleted leaves every file of the store.
//!
//! A deletion leaves bytes in two places. The write-ahead log holds the pages as they were, until it
//! is emptied. And a page that SQLite rebuilt may hold copies of rows that have moved elsewhere, at
//! which no later deletion looks ([`slack`]). So every page that ever goes through the log is looked
//! at before the log begins anew, and what lies beside its rows is overwritten once the page is in
//! the database: no page outside the log holds anything but its rows.
//!
//! The log begins anew only once all of it is in the database, and only a [`Scrubber`] folds it in.
//! Beside the commits it therefore never folds in all; the rest follows while nobody may write, in
//! [`Scrubber::scrub`]. A process that dies between the two steps of that leaves a mark in the
//! store, and the next one to scrub looks at every page.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::log::{Held, Log};
use crate::schema::{OpenError, open_for_upkeep};
use crate::wal_index::{Header, Salt, WalIndex};
use crate::{kept_open, slack};

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
    log: Log,
    leftovers: Leftovers,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is left of what was deleted before it began.
    Clean,
    /// A read or a write that runs is in the way; the store is as usable as before.
    Blocked,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// When the oldest erasure was committed whose bytes may still be in a file.
#[derive(Debug)]
pub(crate) struct Erasures {
    oldest: Mutex<Option<Instant>>,
    /// Has a place for one word: that there is an oldest now.
    noted: (Sender<()>, Receiver<()>),
}

impl Default for Erasures {
    fn default() -> Self {
        Self { oldest: Mutex::default(), noted: crossbeam_channel::bounded(1) }
    }
}

impl Erasures {
    /// Called when one is committed, before the lock on the log is given back.
    pub(crate) fn note(&self) {
        self.oldest().get_or_insert_with(Instant::now);
        // Where the word is there already, it is yet to be heard.
        let _ = self.noted.0.try_send(());
    }

    /// Where it is heard that one was noted.
    pub(crate) fn noted(&self) -> &Receiver<()> {
        &self.noted.1
    }

    /// How long ago it was.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.oldest().map(|oldest| oldest.elapsed())
    }

    /// Called while the lock on the log is held, so that there are no new ones.
    fn clear(&self) {
        *self.oldest() = None;
    }

    fn oldest(&self) -> MutexGuard<'_, Option<Instant>> {
        self.oldest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scrubber {
    /// Opens the store at this path, which its writer must have opened before.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let checkpoints = open_for_upkeep(path)?;
        checkpoints.busy_timeout(READERS)?;
        let transactions = open_for_upkeep(path)?;
        // From its first read on, the other files of the store are there.
        left_undone(&transactions)?;
        let page_bytes = transactions.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let files = OpenError::Files;
        let log = Log::open(path).map_err(files)?;
        let leftovers = Leftovers {
            index: WalIndex::open(path).map_err(files)?,
            log: log.clone(),
            salt: Salt::default(),
            looked_through: 0,
            pages: BTreeSet::new(),
        };
        Ok(Self {
            checkpoints,
            transactions,
            database: Database { file: kept_open::get(path).map_err(files)?, page_bytes },
            log,
            leftovers,
        })
    }

    /// The log of the store, to open another one on it.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What tells whether anyone has committed since.
    pub(crate) fn header(&self) -> io::Result<Header> {
        self.leftovers.index.whole_header()
    }

    /// Folds into the database what is committed by now, beside the commits that go on; never all
    /// of it, since the log could then begin anew before it was looked through. What a read that began
    /// before still needs is left for the next time. Tells how many frames are folded in now, or `None`
    /// if nobody writes just now: then nothing was done.
    pub(crate) fn fold_in(&mut self) -> Result<Option<u32>, Fault> {
        // Nothing after this snapshot is folded in while it lasts.
        let pin = self.transactions.unchecked_transaction()?;
        left_undone(&pin)?;
        if !self.leftovers.index.grows()? {
            return Ok(None);
        }
        self.leftovers.look_through()?;
        let folded = checkpoint(&self.checkpoints, Mode::Passive)?;
        Ok(Some(folded.done))
    }

    /// Folds in all of the log, overwrites what is left on the pages that were in it, and lets it
    /// begin anew.
    ///
    /// If anything was erased, what it held is overwritten. It is cut only if asked to: to make it longer
    /// again holds up each commit, so that with 64 writers it would cost a sixth of them.
    pub(crate) fn scrub(&mut self, erasures: &Erasures, empty: bool) -> Result<Outcome, Fault> {
        // Each time, less is committed meanwhile.
        let mut left = self.header()?.frames();
        for _ in 0..MOST_TIMES_BESIDE {
            if left <= FEW_FRAMES {
                break;
            }
            let Some(done) = self.fold_in()? else { break };
            left = self.header()?.frames().saturating_sub(done);
        }
        match self.log.hold_next(WRITERS)? {
            Some(held) => self.scrub_alone(&held, erasures, empty),
            None => Ok(Outcome::Blocked),
        }
    }

    /// Finishes what a process that died may have left undone, if anything is.
    pub(crate) fn finish(&mut self, erasures: &Erasures) -> Result<Outcome, Fault> {
        if !left_undone(&self.transactions)?.any() {
            return Ok(Outcome::Clean);
        }
        match self.log.hold(WRITERS)? {
            Some(held) => self.scrub_alone(&held, erasures, true),
            None => Ok(Outcome::Blocked),
        }
    }

    /// Closes the store, scrubbed if it `has_written` or anything is left undone: whoever only reads
    /// holds up nobody. The last connection of all takes the other files with it.
    pub(crate) fn close(mut self, erasures: &Erasures, has_written: bool) {
        let Ok(Some(held)) = self.log.hold(WRITERS) else { return };
        if self.is_clean(&held, erasures, has_written).unwrap_or(false) {
            // Whatever cannot be removed now is left to the next one that opens the store.
            let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.checkpoints.set_db_config(no_checkpoint, false);
        }
        // The one that takes them is the last to close.
        drop(self.transactions);
        drop(self.checkpoints);
        drop(held);
    }

    /// Whether the log is empty, after it was scrubbed if there is reason to.
    fn is_clean(
        &mut self,
        held: &Held,
        erasures: &Erasures,
        has_written: bool,
    ) -> Result<bool, Fault> {
        let is_undone = left_undone(&self.transactions)?.any();
        let is_empty = self.header()?.frames() == 0;
        if is_undone || (has_written && !is_empty) {
            return Ok(self.scrub_alone(held, erasures, true)? == Outcome::Clean);
        }
        Ok(is_empty)
    }

    fn scrub_alone(
        &mut self,
        held: &Held,
        erasures: &Erasures,
        empty: bool,
    ) -> Result<Outcome, Fault> {
        self.leftovers.look_through()?;
        let undone = left_undone(&self.transactions)?;
        let has_suspects = undone.scrub || !self.leftovers.pages.is_empty();
        if has_suspects && !self.overwrite(undone.scrub)? {
            return Ok(Outcome::Blocked);
        }
        let is_done = if empty {
            self.begin_log_anew(Mode::Truncate)?
        } else if undone.erasure {
            self.begin_blank_log(held)?
        } else {
            self.begin_log_anew(Mode::Restart)?
        };
        let now = Undone { scrub: false, erasure: undone.erasure && !is_done };
        // Written last, it need not be folded in while writers wait.
        if has_suspects || undone != now {
            set_undone(&self.transactions, now)?;
        }
        if !is_done {
            return Ok(Outcome::Blocked);
        }
        erasures.clear();
        Ok(Outcome::Clean)
    }

    /// False if a read is in the way.
    fn begin_log_anew(&self, mode: Mode) -> rusqlite::Result<bool> {
        Ok(!checkpoint(&self.checkpoints, mode)?.busy)
    }

    /// Lets the log begin anew and overwrites what it held, or cuts it where the file system knows no
    /// other way; false if a read is in the way.
    fn begin_blank_log(&self, held: &Held) -> Result<bool, Fault> {
        if !self.begin_log_anew(Mode::Restart)? {
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
        let is_blank = self.log.blank(held, now.frames(), self.database.page_bytes)?;
        drop(alone);
        Ok(is_blank || self.begin_log_anew(Mode::Truncate)?)
    }

    /// Folds in all of the log and overwrites what is left on the suspects, or on all pages; false
    /// if a read is in the way. The mark of a scrub stands from its beginning on, unless it is false.
    fn overwrite(&mut self, everywhere: bool) -> Result<bool, Fault> {
        set_mark(&self.transactions, true)?;
        // Keeps even other programs from writing, so that nobody else has a page to fold in.
        let alone = Transaction::new_unchecked(&self.transactions, TransactionBehavior::Immediate)?;
        if !self.fold_in_all()? {
            drop(alone);
            set_mark(&self.transactions, everywhere)?;
            return Ok(false);
        }
        if everywhere {
            for number in 1..=self.database.count()? {
                self.database.clean(number)?;
            }
            self.database.clean_free()?;
        } else {
            for number in &self.leftovers.pages {
                self.database.clean(*number)?;
            }
        }
        self.database.sync()?;
        drop(alone);
        self.leftovers.pages.clear();
        Ok(true)
    }

    /// Folds in all of the log while nobody writes; false if a read is in the way.
    fn fold_in_all(&self) -> rusqlite::Result<bool> {
        const PAUSE: Duration = Duration::from_millis(1);
        let started = Instant::now();
        loop {
            let folded = checkpoint(&self.checkpoints, Mode::Passive)?;
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

/// Overwrites what lies beside the rows in a file that is no store yet, or no more.
pub(crate) fn clean(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut bytes = [0; 2];
    // Section 1.3.2 of the file format.
    file.read_exact_at(&mut bytes, 16)?;
    let page_bytes = match u16::from_be_bytes(bytes) {
        1 => 1 << 16,
        bytes => u32::from(bytes),
    };
    let database = Database { file: Arc::new(file), page_bytes };
    for number in 1..=database.count()? {
        database.clean(number)?;
    }
    database.clean_free()?;
    database.sync()
}

/// Which pages in the log hold more than their rows.
#[derive(Debug)]
struct Leftovers {
    index: WalIndex,
    log: Log,
    salt: Salt,
    looked_through: u32,
    pages: BTreeSet<u32>,
}

impl Leftovers {
    /// Looks at all that was committed since the last time.
    fn look_through(&mut self) -> io::Result<()> {
        let header = self.index.whole_header()?;
        if header.salt() != self.salt {
            // Whoever let the log begin anew had looked at all that was in it.
            self.begin_anew(header.salt());
        }
        let pages = &mut self.pages;
        let look = |number, page: &[u8]| {
            if !slack::dirty(number, page).is_empty() {
                pages.insert(number);
            }
        };
        let frames = header.frames();
        if frames == self.looked_through
            || self.log.pages(self.salt, self.looked_through, frames, look)?
        {
            self.looked_through = frames;
        } else {
            self.begin_anew(Salt::default());
        }
        Ok(())
    }

    fn begin_anew(&mut self, salt: Salt) {
        self.salt = salt;
        self.looked_through = 0;
        self.pages.clear();
    }
}

/// The file of the database, to be written to only while nobody folds anything into it.
#[derive(Debug)]
struct Database {
    file: Arc<File>,
    page_bytes: u32,
}

impl Database {
    /// How many pages there are.
    fn count(&self) -> io::Result<u32> {
        let count = self.file.metadata()?.len() / u64::from(self.page_bytes);
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Overwrites what lies on a page beside its rows.
    fn clean(&self, number: u32) -> io::Result<()> {
        let page = self.read(number)?;
        slack::dirty(number, &page).into_iter().try_for_each(|left| self.overwrite(number, left))
    }

    /// Overwrites what lies on pages that are not in use, as other programs leave it that write to
    /// the file (<https://www.sqlite.org/fileformat2.html>, section 1.5).
    fn clean_free(&self) -> io::Result<()> {
        let count = self.count()?;
        let whole = self.page_bytes as usize;
        let mut trunk = word(&self.read(1)?, 32);
        // A damaged list may be a ring.
        for _ in 0..count {
            if !(2..=count).contains(&trunk) {
                break;
            }
            let page = self.read(trunk)?;
            let leaves = (word(&page, 4) as usize).min(whole / 4 - 2);
            let end = 8 + 4 * leaves;
            for leaf in (8..end).step_by(4).map(|at| word(&page, at)) {
                if (2..=count).contains(&leaf) {
                    self.overwrite(leaf, 0..whole)?;
                }
            }
            self.overwrite(trunk, end..whole)?;
            trunk = word(&page, 0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn read(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.page_bytes as usize];
        self.file.read_exact_at(&mut page, self.place(number))?;
        Ok(page)
    }

    fn overwrite(&self, number: u32, left: Range<usize>) -> io::Result<()> {
        self.file.write_all_at(&vec![0; left.len()], self.place(number) + left.start as u64)
    }

    fn place(&self, number: u32) -> u64 {
        u64::from(number - 1) * u64::from(self.page_bytes)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl WalIndex {
    /// Whether something is committed from now on, within the time that a busy writer takes for it.
    fn grows(&self) -> io::Result<bool> {
        const TRIES: u32 = 20;
        const PAUSE: Duration = Duration::from_micros(250);
        let before = self.whole_header()?;
        for _ in 0..TRIES {
            let now = self.whole_header()?;
            if now.salt() == before.salt() && now.frames() > before.frames() {
                return Ok(true);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(false)
    }
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    /// As far as it goes without waiting for anyone.
    Passive,
    /// All of it, after which the log begins anew.
    Restart,
    /// All of it, after which the log is empty.
    Truncate,
}

/// What a checkpoint has done.
#[derive(Debug)]
struct Folded {
    busy: bool,
    /// How many frames the log has.
    frames: u32,
    /// How many of them are in the database.
    done: u32,
}

fn checkpoint(connection: &Connection, mode: Mode) -> rusqlite::Result<Folded> {
    let sql = match mode {
        Mode::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Mode::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Mode::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    connection.prepare_cached(sql)?.query_row((), |row| {
        Ok(Folded { busy: row.get(0)?, frames: row.get(1)?, done: row.get(2)? })
    })
}

/// What is not done yet, by whichever process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Undone {
    /// Someone began to fold in all of the log and did not get to overwriting what was left.
    scrub: bool,
    /// Bytes of what was erased may be in the log.
    erasure: bool,
}

impl Undone {
    fn any(self) -> bool {
        self.scrub || self.erasure
    }
}

fn left_undone(connection: &Connection) -> rusqlite::Result<Undone> {
    connection
        .prepare_cached("SELECT scrubbing, unscrubbed FROM store")?
        .query_row((), |row| Ok(Undone { scrub: row.get(0)?, erasure: row.get(1)? }))
}

fn set_undone(connection: &Connection, undone: Undone) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE store SET scrubbing = ?1, unscrubbed = ?2")?
        .execute((undone.scrub, undone.erasure))
        .map(|_| ())
}

fn set_mark(connection: &Connection, scrubbing: bool) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE store SET scrubbing = ?1")?.execute([scrubbing]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erasure_is_heard_of_at_once_and_waits_from_the_first_one_on() {
        let erasures = Erasures::default();
        assert!(erasures.noted().try_recv().is_err());
        assert_eq!(erasures.age(), None);
        erasures.note();
        let first = *erasures.oldest();
        erasures.note();
        assert!(erasures.noted().try_recv().is_ok());
        assert_eq!(*erasures.oldest(), first);
        erasures.clear();
        assert_eq!(erasures.age(), None);
    }
}

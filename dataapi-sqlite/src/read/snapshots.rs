//! The state of the store that a read sees, kept for the next one as long as it is the newest.
//!
//! To begin and to end one costs system calls under a lock that all connections of a process share. Where
//! reads come one after the other they see the same state, unless someone commits in between: with it
//! kept, any other page of 20 is served 1.14 times as often.
//!
//! While a snapshot lasts, what was erased since cannot leave the log. So none is taken over that is older
//! than [`LONGEST`], and one that nobody asks for is ended at most half of that later.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use rusqlite::Connection;

use crate::erase::wal_index::{Header, WalIndex};
use crate::error::SqliteError;

/// How old a snapshot may be that is taken over: a tenth of what a scrub waits for reads.
const LONGEST: Duration = Duration::from_millis(10);

/// How soon the next read must have come for one to be kept. With fewer reads there is little to gain, and
/// each would wake the thread that ends snapshots.
const SOON: Duration = Duration::from_millis(1);

/// A connection that reads, with the snapshot that it has.
#[derive(Debug)]
pub(crate) struct Reader {
    connection: Connection,
    index: WalIndex,
    kept: Option<Snapshot>,
    last_asked: Option<Instant>,
    keeping: Keeping,
}

#[derive(Clone, Copy, Debug)]
struct Snapshot {
    /// What the store was like before it began, and after.
    header: Header,
    since: Instant,
}

/// How many snapshots are kept, and who is told of it.
#[derive(Clone, Debug)]
struct Keeping {
    count: Arc<AtomicUsize>,
    /// Has a place for one word: that one is kept now.
    noted: Sender<()>,
}

impl Reader {
    /// Runs `work` on a snapshot that has all that was committed until now.
    pub(crate) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let asked = Instant::now();
        let before = self.index.header().ok();
        let is_newest = self.kept.is_some_and(|kept| {
            Some(kept.header) == before
                && asked.duration_since(kept.since) < LONGEST
                // SQLite itself ends it where a disk fails.
                && !self.connection.is_autocommit()
        });
        if !is_newest {
            self.end()?;
            begin(&self.connection)?;
        }
        let found = work(&self.connection);
        let last = self.last_asked.replace(asked);
        let comes_soon = last.is_some_and(|last| asked.duration_since(last) < SOON);
        if found.is_err() {
            // The failure of the work is the error to tell.
            let _ = self.end();
        } else if !is_newest {
            // It began at the first look of `work`: only if nobody has committed around that is it known
            // what it is a snapshot of.
            match before.filter(|_| comes_soon && self.index.header().ok() == before) {
                Some(header) => self.keep(Snapshot { header, since: asked }),
                None => self.end()?,
            }
        }
        found
    }

    fn keep(&mut self, snapshot: Snapshot) {
        self.kept = Some(snapshot);
        self.keeping.count.fetch_add(1, Ordering::SeqCst);
        // Where the word is there already, it is yet to be heard.
        let _ = self.keeping.noted.try_send(());
    }

    fn end(&mut self) -> rusqlite::Result<()> {
        end(&self.connection)?;
        if self.kept.take().is_some() {
            self.keeping.count.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A connection that is closed, if only for a panic, keeps nothing.
        if self.kept.is_some() {
            self.keeping.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Readers of which nobody has need just now.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    readers: (Sender<Reader>, Receiver<Reader>),
    keeping: Keeping,
}

impl Idle {
    pub(crate) fn take(&self) -> Option<Reader> {
        self.readers.1.try_recv().ok()
    }

    pub(crate) fn put_back(&self, reader: Reader) {
        // There is room for each one that was ever taken out.
        let _ = self.readers.0.try_send(reader);
    }

    pub(crate) fn add(&self, connection: Connection, index: WalIndex) {
        let keeping = self.keeping.clone();
        self.put_back(Reader { connection, index, kept: None, last_asked: None, keeping });
    }

    /// Ends the snapshots of readers that were not asked for as long as one may be kept.
    fn end_old(&self) {
        for _ in 0..self.readers.1.len() {
            let Some(mut reader) = self.take() else { return };
            if reader.kept.is_some_and(|kept| kept.since.elapsed() >= LONGEST) {
                // What fails now is tried again in a moment.
                let _ = reader.end();
            }
            self.put_back(reader);
        }
    }
}

/// The thread that ends snapshots nobody asks for. Dropping it waits until it has ended.
#[derive(Debug)]
pub(crate) struct SnapshotEnder {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Room for `count` readers, and what ends their snapshots in time.
pub(crate) fn pool(count: usize) -> std::io::Result<(Idle, SnapshotEnder)> {
    let (noted, kept) = crossbeam_channel::bounded(1);
    let (stop, stopped) = crossbeam_channel::bounded(0);
    let keeping = Keeping { count: Arc::default(), noted };
    let idle = Idle { readers: crossbeam_channel::bounded(count), keeping };
    let all = idle.clone();
    let thread = std::thread::Builder::new()
        .name("dataapi-snapshots".into())
        .spawn(move || end_in_time(&all, &kept, &stopped))?;
    Ok((idle, SnapshotEnder { stop: Some(stop), thread: Some(thread) }))
}

fn end_in_time(idle: &Idle, kept: &Receiver<()>, stopped: &Receiver<()>) {
    loop {
        select! {
            recv(kept) -> _ => {}
            recv(stopped) -> _ => return,
        }
        while idle.keeping.count.load(Ordering::SeqCst) > 0 {
            if stopped.recv_timeout(LONGEST / 2) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            idle.end_old();
        }
    }
}

impl Drop for SnapshotEnder {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked: then the readers end what they have themselves.
            let _ = thread.join();
        }
    }
}

/// Runs `work` on one snapshot of its own.
///
/// Several statements of one read must see one state of the store.
pub(crate) fn read_once<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    end(connection)?;
    begin(connection)?;
    let found = work(connection);
    // A failure of the work is the error to tell.
    let ended = end(connection);
    found.and_then(|found| ended.map(|()| found).map_err(SqliteError::from))
}

/// The statements around it stay prepared like all others, which rusqlite's own transactions do not: that
/// would be a tenth of the time of a page of 20.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN DEFERRED")?.execute(()).map(|_| ())
}

/// Ends the snapshot unless a failure has ended it already. An interrupt that was meant for the read
/// may meet this instead, and the next read must not find it open.
fn end(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    let end = || connection.prepare_cached("ROLLBACK")?.execute(()).map(|_| ());
    end().or_else(|_| end())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A pool of one reader, and a program beside it that writes.
    fn store(path: &Path) -> (Idle, SnapshotEnder, Connection) {
        let writer = crate::open::open_for_writing(path, true, 1 << 20).unwrap();
        let (idle, ending) = pool(1).unwrap();
        let connection = crate::open::open_for_reading(path).unwrap();
        pending(&connection).unwrap();
        idle.add(connection, WalIndex::open(path).unwrap());
        (idle, ending, writer)
    }

    fn pending(connection: &Connection) -> Result<i64, SqliteError> {
        Ok(connection.query_row("SELECT pending FROM store", (), |row| row.get(0))?)
    }

    /// Takes the reader, which is away for a moment now and then, and reads until its snapshot is kept.
    fn read_until_kept(idle: &Idle) -> Reader {
        loop {
            if let Some(mut reader) = idle.take() {
                reader.read(pending).unwrap();
                if reader.kept.is_some() {
                    return reader;
                }
                idle.put_back(reader);
            }
        }
    }

    fn comes_true(condition: impl Fn() -> bool) -> bool {
        const TRIES: u32 = 10_000;
        (0..TRIES).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            condition()
        })
    }

    #[test]
    fn a_read_sees_each_commit_before_it_though_a_snapshot_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (idle, _ending, writer) = store(&folder.path().join("dialogs.db"));
        for round in 1..=500 {
            let mut reader = read_until_kept(&idle);
            writer.execute("UPDATE store SET pending = ?1", [round]).unwrap();
            assert_eq!(reader.read(pending).unwrap(), round);
            idle.put_back(reader);
        }
    }

    #[test]
    fn a_commit_amid_a_read_is_seen_by_the_next_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (idle, _ending, writer) = store(&folder.path().join("dialogs.db"));
        for round in 1..=100 {
            let mut reader = read_until_kept(&idle);
            let [first, second] = reader
                .read(|connection| {
                    let first = pending(connection)?;
                    writer.execute("UPDATE store SET pending = ?1", [round])?;
                    Ok([first, pending(connection)?])
                })
                .unwrap();
            assert_eq!([first, second], [round - 1; 2]);
            assert_eq!(reader.read(pending).unwrap(), round);
            idle.put_back(reader);
        }
    }

    #[test]
    fn a_snapshot_that_nobody_asks_for_ends_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let (idle, _ending, writer) = store(&folder.path().join("dialogs.db"));
        writer.execute("UPDATE store SET pending = 1", ()).unwrap();
        for _ in 0..20 {
            idle.put_back(read_until_kept(&idle));
            // The log cannot be emptied while one is kept that needs it.
            let is_blocked = || {
                let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
                writer.query_row(empty, (), |row| row.get::<_, bool>(0)).unwrap()
            };
            writer.execute("UPDATE store SET pending = 2", ()).unwrap();
            assert!(comes_true(|| !is_blocked()));
            assert!(comes_true(|| idle.keeping.count.load(Ordering::SeqCst) == 0));
        }
    }

    #[test]
    fn a_snapshot_does_not_outlive_a_read_that_panicked() {
        let folder = tempfile::tempdir().unwrap();
        let (idle, _ending, _writer) = store(&folder.path().join("dialogs.db"));
        let mut reader = read_until_kept(&idle);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            reader.read(|_| -> Result<(), SqliteError> { panic!("as a handler may") })
        }));
        assert!(panicked.is_err());
        assert_eq!(idle.keeping.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_snapshot_does_not_outlive_a_read_that_failed() {
        let folder = tempfile::tempdir().unwrap();
        let (idle, _ending, _writer) = store(&folder.path().join("dialogs.db"));
        let mut reader = read_until_kept(&idle);
        let failed = reader.read(|_| Err::<(), _>(rusqlite::Error::QueryReturnedNoRows.into()));
        assert!(failed.is_err());
        assert!(reader.kept.is_none() && reader.connection.is_autocommit());
        assert_eq!(idle.keeping.count.load(Ordering::SeqCst), 0);
    }
}

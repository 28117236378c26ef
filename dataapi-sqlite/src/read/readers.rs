//! Runs reads, each on a connection that no other read uses: short ones on the caller's thread, long ones on threads of
//! the store.
//!
//! With a write-ahead log, they read while the writer writes. A read begins after the call, so it sees every commit
//! that was acknowledged before the call.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use dataapi_core::{Allowance, StoreError};
use rusqlite::{Connection, InterruptHandle};
use tokio::sync::oneshot;

use crate::erase::wal_index::WalIndex;
use crate::error::{OpenError, SqliteError, closed, overloaded};
use crate::open::open_for_reading;
use crate::read::budget::Budget;
use crate::read::snapshots::{self, Idle, NoSnapshots, SnapshotEnder};

/// How long a read can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// A bounded number of lookups. They take less time than to wake a thread and be woken by it, so they run on the
    /// caller's thread, unless they find more bytes than that may hold.
    Short,
    /// Anything else. It runs on a thread of the store, so that it does not block the caller's.
    Long,
}

type QueuedRead = Box<dyn FnOnce(&Connection) + Send>;

/// The connections that read, and the queue to the reading threads. Dropping it waits until the threads have ended.
#[derive(Debug)]
pub(crate) struct Readers {
    idle: Idle,
    _ending: SnapshotEnder,
    queue: Option<Sender<QueuedRead>>,
    threads: Vec<JoinHandle<()>>,
    long: LongReads,
}

/// What the upkeep thread can do about reads that block a scrub.
#[derive(Clone, Debug)]
pub(crate) struct ReadsInTheWay {
    idle: Idle,
    long: LongReads,
}

impl ReadsInTheWay {
    /// See [`Idle::keep_none`].
    pub(crate) fn keep_no_snapshots(&self) -> NoSnapshots<'_> {
        self.idle.keep_none()
    }

    /// See [`LongReads::interrupt`].
    pub(crate) fn interrupt(&self, limit: Duration) {
        self.long.interrupt(limit);
    }
}

/// The long reads that are running.
#[derive(Clone, Debug, Default)]
struct LongReads(Arc<Mutex<Vec<Arc<LongRead>>>>);

/// The read that a thread is running, if any, and the handle to stop it.
struct LongRead {
    handle: InterruptHandle,
    since: Mutex<Option<Instant>>,
}

impl LongReads {
    /// Stops the reads that have run for longer than `limit`. Their callers get an error that says to ask for less.
    fn interrupt(&self, limit: Duration) {
        for read in lock(&self.0).iter() {
            let since = lock(&read.since);
            if since.is_some_and(|since| since.elapsed() > limit) {
                // While this holds the lock, the thread cannot begin its next read.
                read.handle.interrupt();
            }
        }
    }

    fn watch(&self, connection: &Connection) -> Arc<LongRead> {
        let handle = connection.get_interrupt_handle();
        let read = Arc::new(LongRead { handle, since: Mutex::new(None) });
        lock(&self.0).push(Arc::clone(&read));
        read
    }
}

impl fmt::Debug for LongRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongRead").field("since", &self.since).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Readers {
    /// Opens `count` connections for short reads, and as many for long ones, each with its thread. At most `capacity`
    /// reads wait for a thread; further ones are refused as overloaded.
    pub(crate) fn start(path: &Path, count: usize, capacity: usize) -> Result<Self, OpenError> {
        let (queue, reads) = crossbeam_channel::bounded(capacity);
        let (idle, ending) = snapshots::pool(count).map_err(OpenError::Thread)?;
        let threads = Vec::with_capacity(count);
        let long = LongReads::default();
        let mut readers = Self { idle, _ending: ending, queue: Some(queue), threads, long };
        let index = WalIndex::open(path).map_err(OpenError::Files)?;
        for _ in 0..count {
            let short = open_for_reading(path)?;
            // The caller's thread must not wait for a lock.
            short.busy_timeout(Duration::ZERO)?;
            readers.idle.add(short, index.clone());
            let connection = open_for_reading(path)?;
            let reads = reads.clone();
            let read = readers.long.watch(&connection);
            let thread = std::thread::Builder::new()
                .name("dataapi-reader".into())
                .spawn(move || serve(&connection, &reads, &read))
                .map_err(OpenError::Thread)?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    /// What the upkeep thread can do about them.
    pub(crate) fn in_the_way(&self) -> ReadsInTheWay {
        ReadsInTheWay { idle: self.idle.clone(), long: self.long.clone() }
    }

    /// Runs `work` on one snapshot of the store.
    pub(crate) async fn read<T, W>(&self, cost: Cost, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        self.read_within(cost, None, move |connection, _| work(connection)).await
    }

    /// Runs `work` on one snapshot of the store, with a budget for the bytes that it holds. If these turn out to be too
    /// many for the caller's thread, it begins again on a thread of the store.
    pub(crate) async fn read_within<T, W>(
        &self,
        cost: Cost,
        allowance: Option<Arc<dyn Allowance>>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&Connection, &Budget) -> Result<T, SqliteError> + Send + 'static,
    {
        if cost == Cost::Short
            && let Some(mut reader) = self.idle.take()
        {
            let budget = Budget::new(true, allowance.clone());
            let found = reader.read(|connection| work(connection, &budget));
            self.idle.put_back(reader);
            if !found.as_ref().is_err_and(SqliteError::is_busy) {
                return found.map_err(StoreError::from);
            }
        }
        let (reply, answer) = oneshot::channel();
        let queued: QueuedRead = Box::new(move |connection| {
            // A call that was dropped needs no answer.
            if !reply.is_closed() {
                let budget = Budget::new(false, allowance);
                let found =
                    snapshots::read_once(connection, |connection| work(connection, &budget));
                let _ = reply.send(found.map_err(StoreError::from));
            }
        });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.try_send(queued).map_err(|refused| match refused {
            TrySendError::Full(_) => overloaded(),
            TrySendError::Disconnected(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // It fails only if the thread panicked. Its callers have received an error then.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, reads: &Receiver<QueuedRead>, read: &LongRead) {
    for queued in reads {
        *lock(&read.since) = Some(Instant::now());
        queued(connection);
        *lock(&read.since) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_takes_too_long_is_ended_and_the_next_one_is_answered() {
        const FOR_EVER: &str =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dialogs.db");
        let _writer = crate::open::open_for_writing(&path, true, 1 << 20).unwrap();
        let readers = Readers::start(&path, 1, 10).unwrap();
        let long = readers.in_the_way();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let ending = std::thread::spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                long.interrupt(Duration::from_millis(1));
                std::thread::yield_now();
            }
        });
        let read = |connection: &Connection| {
            Ok(connection.query_row(FOR_EVER, (), |row| row.get::<_, i64>(0))?)
        };
        let ended = readers.read(Cost::Long, read).await;
        assert!(matches!(ended, Err(StoreError::Unavailable { .. })), "{ended:?}");
        drop(stop);
        ending.join().unwrap();
        let next = |connection: &Connection| {
            Ok(connection.query_row("SELECT 1", (), |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(readers.read(Cost::Long, next).await.unwrap(), 1);
    }
}

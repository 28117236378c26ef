//! The one thread that writes. It commits all waiting requests in one transaction.
//!
//! While a commit waits for the disk, the next requests queue. The busier the store, the more requests share an fsync.
//! A request is answered after its commit.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use dataapi_core::{Activity, Clock, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::erase::erasures::Erasures;
use crate::erase::marks::grow_log;
use crate::erase::wal::Wal;
use crate::error::{
    OpenError, SqliteError, busy, closed, is_disk_failure, overloaded, store_error, unknown,
};
use crate::open::BUSY_TIMEOUT;
use crate::rows::identity::Identity;
use crate::write::commits::Commits;
use crate::write::transaction::Transaction;

/// How many requests one commit takes at most, so that the first of them does not wait too long.
const MAX_BATCH: usize = 1024;

/// After a commit of at least so many requests, the next one waits for more. Each commit writes some pages again, such
/// as the ends of the indexes, so fewer and larger commits write less.
const MANY: usize = 24;

/// A commit with so many requests waits for no more.
const ENOUGH: usize = 64;

/// How long it waits at a time, and how many times at most, as long as requests come.
const NAP: Duration = Duration::from_micros(150);
const NAPS: u32 = 5;

/// How long the thread stays awake after a commit. A single client sends its next request in a third of this time.
const AWAKE: Duration = Duration::from_micros(500);

/// The queue to the writing thread. Dropping it waits until all requests in the queue are committed.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Option<Sender<Box<dyn QueuedWrite>>>,
    commits: Arc<Commits>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. At most `capacity` requests wait; further ones are refused as overloaded.
    pub(crate) fn start(
        connection: Connection,
        wal: Wal,
        identity: Identity,
        clock: Arc<dyn Clock>,
        erasures: Arc<Erasures>,
        commits: Arc<Commits>,
        capacity: usize,
    ) -> Result<Self, OpenError> {
        let (queue, writes) = crossbeam_channel::bounded(capacity);
        let counted = Arc::clone(&commits);
        let committer = Committer { connection, wal, identity, clock, erasures, commits: counted };
        let thread = std::thread::Builder::new()
            .name("dataapi-writer".into())
            .spawn(move || committer.run(&writes))
            .map_err(OpenError::Thread)?;
        Ok(Self { queue: Some(queue), commits, thread: Some(thread) })
    }

    /// Runs `work` in the next transaction, and returns its result when the transaction is on disk.
    ///
    /// `work` can run twice: if a shared transaction fails, each of its requests runs again in its own transaction.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Transaction<'_>) -> Result<T, SqliteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let write = Box::new(Write { work, outcome: None, reply });
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.try_send(write).map_err(|refused| match refused {
            TrySendError::Full(_) => overloaded(),
            TrySendError::Disconnected(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// What the writer is doing. It does not know since when erasures wait for a scrub (`unscrubbed`).
    pub(crate) fn activity(&self) -> Activity {
        let (queued, capacity) = match &self.queue {
            Some(queue) => (queue.len(), queue.capacity().unwrap_or(0)),
            None => (0, 0),
        };
        Activity {
            queued: queued as u64,
            queue_capacity: capacity as u64,
            commits: self.commits.sizes(),
            unscrubbed: None,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked. Its callers have received an error then.
            let _ = thread.join();
        }
    }
}

/// A request on its way through the thread.
trait QueuedWrite: Send {
    /// Does the work. An error means that the transaction must be rolled back.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), rusqlite::Error>;

    /// Answers the caller with the result of the work.
    fn answer(self: Box<Self>);

    /// Answers the caller that the database failed.
    fn fail(self: Box<Self>, error: StoreError);
}

struct Write<T, W> {
    work: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, W> QueuedWrite for Write<T, W>
where
    T: Send,
    W: FnMut(&mut Transaction<'_>) -> Result<T, SqliteError> + Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> Result<(), rusqlite::Error> {
        self.outcome = Some(match (self.work)(transaction) {
            Ok(answer) => Ok(answer),
            Err(SqliteError::Refused(refusal)) => Err(refusal),
            Err(SqliteError::Database(error)) => return Err(error),
        });
        Ok(())
    }

    // Sending fails if the caller has dropped its call. The write is complete in any case.

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome.unwrap_or_else(|| Err(closed())));
    }

    fn fail(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

struct Committer {
    connection: Connection,
    wal: Wal,
    identity: Identity,
    clock: Arc<dyn Clock>,
    erasures: Arc<Erasures>,
    commits: Arc<Commits>,
}

impl Committer {
    fn run(mut self, writes: &Receiver<Box<dyn QueuedWrite>>) {
        let mut batch = Vec::new();
        let mut last = 0;
        while let Some(first) = next(writes) {
            batch.push(first);
            batch.extend(writes.try_iter().take(MAX_BATCH - 1));
            if last >= MANY {
                gather(writes, &mut batch);
            }
            last = batch.len();
            self.commit(&mut batch);
        }
    }

    /// Commits the batch, answers each request in it, and leaves it empty.
    fn commit(&mut self, batch: &mut Vec<Box<dyn QueuedWrite>>) {
        match self.transact(batch) {
            Ok(()) => {
                self.commits.count(batch.len());
                batch.drain(..).for_each(QueuedWrite::answer);
            }
            // Nothing was committed. A request that cannot succeed must not make the others fail.
            Err(Abort::Work(_)) if batch.len() > 1 => {
                for write in batch.drain(..) {
                    self.commit_alone(write);
                }
            }
            Err(abort) => batch.drain(..).for_each(|write| write.fail(abort.told())),
        }
    }

    fn commit_alone(&mut self, write: Box<dyn QueuedWrite>) {
        let mut alone = [write];
        let outcome = self.transact(&mut alone);
        let [write] = alone;
        match outcome {
            Ok(()) => {
                self.commits.count(1);
                write.answer();
            }
            Err(abort) => write.fail(abort.told()),
        }
    }

    fn transact(&mut self, writes: &mut [Box<dyn QueuedWrite>]) -> Result<(), Abort> {
        let Ok(Some(_lock)) = self.wal.lock(BUSY_TIMEOUT) else {
            return Err(Abort::Commit(busy()));
        };
        let begun = Transaction::begin(&self.connection, &self.identity, &*self.clock);
        let mut transaction = begun.map_err(Abort::Commit)?;
        for write in writes {
            write.run(&mut transaction).map_err(Abort::Work)?;
        }
        if transaction.erases() {
            self.erasures.note();
        }
        transaction.commit().map_err(|error| {
            // If a sync fails, the commit may be in the log all the same, and the next process that opens the store after
            // a crash would take it for done. Another commit takes its place.
            if is_disk_failure(&error) && grow_log(&self.connection).is_err() {
                Abort::Unknown
            } else {
                Abort::Commit(error)
            }
        })
    }
}

/// Waits for a request, at first without sleeping. A client that sends one request after another soon sends the next
/// one, and to put the thread to sleep and wake it takes a sixth of the time of a single request.
fn next(writes: &Receiver<Box<dyn QueuedWrite>>) -> Option<Box<dyn QueuedWrite>> {
    let started = Instant::now();
    while started.elapsed() < AWAKE {
        match writes.try_recv() {
            Ok(write) => return Some(write),
            Err(TryRecvError::Empty) => std::thread::yield_now(),
            Err(TryRecvError::Disconnected) => return None,
        }
    }
    writes.recv().ok()
}

/// Waits for more requests, as long as they come and are not enough.
fn gather(writes: &Receiver<Box<dyn QueuedWrite>>, batch: &mut Vec<Box<dyn QueuedWrite>>) {
    for _ in 0..NAPS {
        let before = batch.len();
        if before >= ENOUGH {
            return;
        }
        std::thread::sleep(NAP);
        batch.extend(writes.try_iter().take(MAX_BATCH - before));
        if batch.len() == before {
            return;
        }
    }
}

/// Why a transaction was rolled back.
enum Abort {
    /// The work of one of the requests failed.
    Work(rusqlite::Error),
    /// The transaction itself could not begin or commit.
    Commit(rusqlite::Error),
    /// The disk failed during the commit, and after a crash it may turn out to be done.
    Unknown,
}

impl Abort {
    /// What the caller is told.
    fn told(&self) -> StoreError {
        match self {
            Self::Work(error) | Self::Commit(error) => store_error(error),
            Self::Unknown => unknown(),
        }
    }
}

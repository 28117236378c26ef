//! Folds the write-ahead log into the database beside the commits, so that none waits for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::Connection;

use crate::schema::{OpenError, open_for_checkpoints};
use crate::writer::Commits;

/// How often the log is folded in while commits are made.
///
/// Each time holds up the commits of that moment: four times a second, the slowest hundredth of 64
/// writers waits 3.6 times as long as the middle one, at this pace 2.2 times.
const PERIOD: Duration = Duration::from_secs(1);

/// How many pages the log may have before it must start anew: 80 MB.
///
/// It does that by itself once all of it is folded in, but a busy writer is always a little ahead.
const MAX_LOG_PAGES: i64 = 20_000;

/// The thread that does it. Dropping it waits until it has ended.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether the writer is to fold in what the thread could not, the little that was committed
/// meanwhile, so that the log starts anew.
#[derive(Debug, Default)]
pub(crate) struct Remainder(AtomicBool);

impl Checkpointer {
    pub(crate) fn start(
        path: &Path,
        commits: Arc<Commits>,
        remainder: Arc<Remainder>,
    ) -> Result<Self, OpenError> {
        let connection = open_for_checkpoints(path)?;
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new()
            .name("dataapi-checkpointer".into())
            .spawn(move || run(&connection, &commits, &remainder, &stopped))
            .map_err(OpenError::Thread)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A checkpoint that was not made is made by whoever writes next.
            let _ = thread.join();
        }
    }
}

impl Remainder {
    /// Called by the writer between two transactions.
    pub(crate) fn fold_in(&self, connection: &Connection) {
        if self.0.swap(false, Ordering::Relaxed) {
            // What fails now is tried again within the next period.
            let _ = checkpoint(connection);
        }
    }
}

fn run(connection: &Connection, commits: &Commits, remainder: &Remainder, stop: &Receiver<()>) {
    let mut folded_in = None;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(PERIOD) {
        let so_far = commits.number();
        if folded_in == Some(so_far) {
            continue;
        }
        if let Ok((pages, done)) = checkpoint(connection) {
            folded_in = (pages == done).then_some(so_far);
            if pages > MAX_LOG_PAGES {
                remainder.0.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Folds in what no reader needs and what is committed by now, waiting for nobody; tells how many
/// pages the log has, and how many of them are in the database.
fn checkpoint(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row((), |row| Ok((row.get(1)?, row.get(2)?)))
}

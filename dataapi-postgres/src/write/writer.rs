//! The queues of requests for the lanes.
//!
//! All requests on the dialogs of one shard go to the same lane, so that the lanes of one process never wait for each
//! other.

use std::sync::Arc;

use dataapi_core::{Activity, DialogRef, NewDialog, Received, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::error::{PostgresError, closed, overloaded};
use crate::write::context::StoreContext;
use crate::write::lane::Lane;
use crate::write::request::{Batch, InsertRequest, Rows, WriteRequest, job};
use crate::write::unit::Unit;

/// The queues of the lanes. When this is dropped, the lanes commit what they have accepted and end.
pub(crate) struct Writer {
    lanes: Vec<mpsc::Sender<WriteRequest>>,
    shared: Arc<StoreContext>,
    capacity: usize,
}

impl Writer {
    /// Starts this many lanes. At most about `capacity` requests can wait; more are refused as overloaded.
    pub(crate) fn start(shared: Arc<StoreContext>, lanes: usize, capacity: usize) -> Self {
        let of_one = (capacity / lanes).max(1);
        let lane = || {
            let (queue, requests) = mpsc::channel(of_one);
            tokio::spawn(Lane::new(Arc::clone(&shared)).run(requests));
            queue
        };
        let lanes: Vec<_> = (0..lanes).map(|_| lane()).collect();
        let capacity = of_one * lanes.len();
        Self { lanes, shared, capacity }
    }

    /// Stores a dialog. Answers when it is on disk.
    pub(crate) async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let reference = self.shared.key.reference(&dialog.dialog_id);
        let (reply, answer) = oneshot::channel();
        self.queue(reference, WriteRequest::Insert(InsertRequest { reference, dialog, reply }))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on one dialog in the next transaction of its lane. Answers when the result is on disk.
    ///
    /// `work` can run several times: after a conflict, and after a shared transaction failed.
    pub(crate) async fn write<T, W>(&self, reference: DialogRef, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send + 'static,
    {
        let rows = Rows { references: vec![reference], ..Rows::default() };
        let (job, answer) = job(rows, work);
        self.queue(reference, WriteRequest::Job(job))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on any number of dialogs in its own transaction.
    pub(crate) async fn write_many<T, W>(&self, rows: Rows, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send + 'static,
    {
        let (job, answer) = job(rows, work);
        let mut lane = Lane::new(Arc::clone(&self.shared));
        // In a task of its own, so that it completes even if the caller stops waiting.
        tokio::spawn(async move {
            lane.commit(Batch { jobs: vec![job], inserts: Vec::new() }).await;
            lane.give_back();
        });
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    fn queue(&self, reference: DialogRef, request: WriteRequest) -> Result<(), StoreError> {
        let lane = self.shared.shards.of(&reference).number() % self.lanes.len();
        self.lanes[lane].try_send(request).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => overloaded(),
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }

    /// Returns the state of the queues and the sizes of commits, without the age of erasures.
    pub(crate) fn activity(&self) -> Activity {
        let free: usize = self.lanes.iter().map(mpsc::Sender::capacity).sum();
        Activity {
            queued: self.capacity.saturating_sub(free) as u64,
            queue_capacity: self.capacity as u64,
            commits: self.shared.commits.sizes(),
            unscrubbed: None,
        }
    }
}

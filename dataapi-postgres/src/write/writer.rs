//! The queues of requests to the lanes.
//!
//! The dialogs of a shard always go the same lane, so that the lanes of one process never wait for each other.

use std::sync::Arc;

use dataapi_core::{Activity, DialogRef, NewDialog, Received, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::error::{PostgresError, closed, overloaded};
use crate::write::context::StoreContext;
use crate::write::lane::Lane;
use crate::write::request::{Batch, InsertRequest, WriteRequest, job};
use crate::write::unit::Unit;

/// The queues to the lanes. Once it is dropped, they commit what was taken in, and end.
pub(crate) struct Writer {
    lanes: Vec<mpsc::Sender<WriteRequest>>,
    shared: Arc<StoreContext>,
    capacity: usize,
}

impl Writer {
    /// Starts so many lanes; at most `capacity` requests wait in all, any more are refused as overloaded.
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

    /// Stores a dialog, and answers when that is on disk.
    pub(crate) async fn insert(&self, dialog: NewDialog) -> Result<Received, StoreError> {
        let reference = self.shared.key.reference(&dialog.dialog_id);
        let (reply, answer) = oneshot::channel();
        self.queue(reference, WriteRequest::Insert(InsertRequest { reference, dialog, reply }))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on one dialog in the next transaction of its lane, and answers when that is on disk.
    ///
    /// `work` may run several times: where others were in the way, and where a shared transaction failed.
    pub(crate) async fn write<T, W>(&self, reference: DialogRef, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send + 'static,
    {
        let (job, answer) = job(vec![reference], Vec::new(), work);
        self.queue(reference, WriteRequest::Job(job))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Runs `work` on any number of dialogs in a transaction of its own; the words of those `with_texts` can
    /// be compared.
    pub(crate) async fn write_many<T, W>(
        &self,
        references: Vec<DialogRef>,
        with_texts: Vec<DialogRef>,
        work: W,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnMut(&mut Unit<'_>) -> Result<T, PostgresError> + Send + 'static,
    {
        let (job, answer) = job(references, with_texts, work);
        let mut lane = Lane::new(Arc::clone(&self.shared));
        // On its own, so that it comes to its end whoever waits for it.
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

    /// What it is busy with; how long erasures have waited is not its to say.
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

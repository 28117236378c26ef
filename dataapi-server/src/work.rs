//! Long work, off the threads that answer requests: so much at once that these go on, and only a part of it for one
//! caller.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::net::client::Client;
use crate::net::shares::Share;
use crate::problem::Problem;

/// The turns of all callers.
#[derive(Debug)]
pub(crate) struct Work {
    turns: Arc<Semaphore>,
    of_one: usize,
}

/// The right to do one piece of long work. Dropping it lets the next one begin.
#[derive(Debug)]
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Work {
    pub(crate) fn new() -> Self {
        let turns = available_parallelism().map_or(2, usize::from).max(2);
        Self { turns: Arc::new(Semaphore::new(turns)), of_one: turns / 2 }
    }

    /// Waits for a turn, as long as the client does. A caller who has its part waits for itself, not for the others.
    pub(crate) async fn turn(&self, share: &Share, client: &Client) -> Result<Turn, Problem> {
        let waiting = async {
            let of_one = Arc::clone(share.turns(self.of_one)).acquire_owned().await?;
            let of_all = Arc::clone(&self.turns).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Turn { _of_all: of_all, _of_one: of_one })
        };
        tokio::select! {
            biased;
            turn = waiting => turn.map_err(Problem::internal),
            () = client.left() => Err(Problem::client_left()),
        }
    }
}

#[cfg(test)]
impl Work {
    /// Takes all turns.
    pub(crate) fn all_turns(&self, client: &Client) -> Vec<Turn> {
        use futures_util::FutureExt;

        let next = || self.turn(&Share::default(), client).now_or_never()?.ok();
        std::iter::from_fn(next).collect()
    }
}

impl Turn {
    /// Runs `job` on a thread that may block.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // The job goes on if its request is given up, and so does its turn.
        let done = spawn_blocking(move || {
            let done = job();
            drop(self);
            done
        });
        done.await.map_err(Problem::internal)
    }
}

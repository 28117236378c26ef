//! A recorded history: what clients asked and were told, and which call ended before another one started.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::call::{Answer, Call};

/// One call of a history.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Which client called.
    pub client: usize,
    /// What it asked.
    pub call: Call,
    /// What it was told.
    pub answer: Answer,
    /// When the call started, counted in starts and ends.
    pub start: u64,
    /// When it ended; `u64::MAX` if its outcome is unknown, because it can still happen.
    pub end: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, call, answer, start, end } = self;
        match end {
            &u64::MAX => write!(f, "[{start:4},    -] client {client}: {call:?}")?,
            end => write!(f, "[{start:4}, {end:4}] client {client}: {call:?}")?,
        }
        write!(f, "\n               {answer:?}")
    }
}

/// Records the calls of concurrent clients.
#[derive(Debug, Default)]
pub struct Recorder {
    moments: AtomicU64,
    operations: Mutex<Vec<Operation>>,
}

impl Recorder {
    /// Waits for the answer of a call and records both. `None` as answer means that nothing happened; this is not
    /// recorded.
    pub async fn record(
        &self,
        client: usize,
        call: &Call,
        asked: impl Future<Output = Option<Answer>>,
    ) {
        let start = self.moments.fetch_add(1, Ordering::SeqCst);
        let Some(answer) = asked.await else { return };
        let end = self.moments.fetch_add(1, Ordering::SeqCst);
        let end = if answer == Answer::Unknown { u64::MAX } else { end };
        let operation = Operation { client, call: call.clone(), answer, start, end };
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// Returns the calls in the order of their starts.
    pub fn history(self) -> Vec<Operation> {
        let mut operations = self.operations.into_inner().unwrap_or_else(PoisonError::into_inner);
        operations.sort_by_key(|operation| operation.start);
        operations
    }
}

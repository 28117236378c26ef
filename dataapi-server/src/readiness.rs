//! Whether the store can be read and written, checked once for all who ask at the same time: anybody may ask, and each
//! check takes a place in the queues of the store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dataapi_core::{DialogStore, StoreError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::time::timeout;

use crate::problem::Problem;

/// How long the check of the store may take. A later answer is of no use.
const PATIENCE: Duration = Duration::from_secs(2);

type Outcome = Result<(), Arc<StoreError>>;
type Check = BoxFuture<'static, Outcome>;

/// The check that is running, if there is one. It ends when nobody waits for it any more.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<WeakShared<Check>>>);

impl Readiness {
    /// Waits for the check that is running, or begins one.
    pub(crate) async fn check(&self, store: &Arc<dyn DialogStore>) -> Result<(), Problem> {
        match timeout(PATIENCE, self.running(store)).await {
            Ok(Ok(())) => Ok(()),
            // Whatever the error is, the store is not ready.
            Ok(Err(error)) => Err(Problem::unavailable(error, PATIENCE)),
            Err(slow) => Err(Problem::unavailable(slow, PATIENCE)),
        }
    }

    fn running(&self, store: &Arc<dyn DialogStore>) -> Shared<Check> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = running.as_ref().and_then(WeakShared::upgrade);
        known.filter(|check| check.peek().is_none()).unwrap_or_else(|| {
            let check = checked(Arc::clone(store)).boxed().shared();
            *running = check.downgrade();
            check
        })
    }
}

async fn checked(store: Arc<dyn DialogStore>) -> Outcome {
    // Those who come while a check hangs begin another one after this.
    let outcome = timeout(PATIENCE, store.ready()).await;
    outcome.unwrap_or_else(|slow| Err(StoreError::backend(slow))).map_err(Arc::new)
}

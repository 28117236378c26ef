//! Readiness: anybody may ask, and however many do, the store has hardly any work with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dataapi_core::prelude::*;
use dataapi_core::{StoreError, delegate};
use dataapi_server::Config;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::memory::in_flight;
use crate::patience::PATIENCE;
use crate::server::{Server, memory};

/// How many ask at the same time.
const MANY: usize = 20;

/// A store that counts its checks, and answers them when it may.
struct Checked {
    store: Arc<dyn DialogStore>,
    checks: Arc<AtomicUsize>,
    may_answer: Arc<Semaphore>,
}

impl Dialogs for Checked {
    delegate!(Dialogs to store);
}

impl Ledger for Checked {
    delegate!(Ledger to store);
}

impl Keys for Checked {
    delegate!(Keys to store);
}

#[async_trait::async_trait]
impl Upkeep for Checked {
    delegate!(purge, purgeable, reference, revision, info, activity, scrub to store);

    async fn ready(&self) -> Result<(), StoreError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let _permit = self.may_answer.acquire().await;
        self.store.ready().await
    }
}

#[tokio::test]
async fn the_store_is_checked_once_for_all_who_ask_at_the_same_time() {
    let (checks, may_answer) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let store = Checked {
        store: memory(),
        checks: Arc::clone(&checks),
        may_answer: Arc::clone(&may_answer),
    };
    let server = Server::start(Arc::new(store), Config::default()).await;
    let asking = join_all((0..MANY).map(|_| server.get("/health/ready")));
    let releasing = async {
        let started = Instant::now();
        while in_flight(&server).await <= MANY as u64 {
            assert!(started.elapsed() < PATIENCE, "they never ask");
        }
        may_answer.add_permits(1);
    };
    let (answers, ()) = tokio::join!(asking, releasing);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(checks.load(Ordering::SeqCst), 1);
    assert_eq!(server.get("/health/ready").await.status, 200);
    assert_eq!(checks.load(Ordering::SeqCst), 2, "a later question gets an answer of its own time");
}

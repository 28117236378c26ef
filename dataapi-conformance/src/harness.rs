//! How a backend hands its stores to the promises, and how one promise is run.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use tokio::runtime::{Builder, Runtime};

use crate::ManualClock;

/// Makes the stores that the promises are tried on.
///
/// Every `async fn(ManualClock) -> Fixture` is one already; implement it on a type of your own if
/// making a store takes more than a function.
#[async_trait]
pub trait Harness: Send + Sync {
    /// An empty store that takes its time from `clock`, and shares nothing with any other.
    ///
    /// It must take 64 calls at once without refusing one as overloaded. Called on a
    /// multi-threaded tokio runtime, which lives until the fixture is dropped. Should panic when it
    /// cannot make a store.
    async fn fresh(&self, clock: ManualClock) -> Fixture;

    /// Whether what the stores need is there. Where it says no, which it should say aloud, no promise is
    /// tried.
    fn is_available(&self) -> bool {
        true
    }
}

#[async_trait]
impl<F, Fut> Harness for F
where
    F: Fn(ManualClock) -> Fut + Send + Sync,
    Fut: Future<Output = Fixture> + Send,
{
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        self(clock).await
    }
}

/// Makes stores that can be copied into another one, of the same backend or another.
#[async_trait]
pub trait CopyHarness: Send + Sync {
    /// Makes the stores that are copied.
    fn harness(&self) -> &dyn Harness;

    /// Closes the store, copies all of it into another one, and opens that. Should panic when that fails.
    async fn copied(&self, fixture: Fixture, clock: ManualClock) -> Fixture;
}

/// A store under test, and what must live as long as it: a temporary directory, a server.
pub struct Fixture {
    // Fields are dropped in the order in which they stand here.
    store: Arc<dyn DialogStore>,
    kept: Vec<Box<dyn Any + Send>>,
}

impl Fixture {
    /// A store that needs nothing else.
    pub fn new(store: impl DialogStore + 'static) -> Self {
        Self { store: Arc::new(store), kept: Vec::new() }
    }

    /// A store that is shared already.
    pub fn shared(store: Arc<dyn DialogStore>) -> Self {
        Self { store, kept: Vec::new() }
    }

    /// Keeps `kept` until the store has been dropped. What is kept first is dropped first.
    #[must_use]
    pub fn keeping(mut self, kept: impl Send + 'static) -> Self {
        self.kept.push(Box::new(kept));
        self
    }

    /// The store under test.
    pub fn store(&self) -> &dyn DialogStore {
        &*self.store
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

/// Tries one promise on a fresh store: what [`conformance!`](crate::conformance) makes of each.
///
/// # Panics
/// When the store breaks the promise, or inside a tokio runtime: it brings its own.
pub fn uphold(harness: &dyn Harness, promise: impl AsyncFnOnce(&dyn DialogStore, &ManualClock)) {
    if !harness.is_available() {
        return;
    }
    let runtime = runtime();
    // What a fixture keeps may want the runtime when it is dropped.
    let _context = runtime.enter();
    let clock = ManualClock::default();
    let fixture = runtime.block_on(harness.fresh(clock.clone()));
    runtime.block_on(promise(fixture.store(), &clock));
}

/// Two workers are enough: they only serve what a fixture runs beside the store's own threads.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a tokio runtime can be built")
}

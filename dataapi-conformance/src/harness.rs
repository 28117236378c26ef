//! How a backend provides its stores, and how one promise is run.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use tokio::runtime::{Builder, Runtime};

use crate::ManualClock;

/// Makes the stores under test.
///
/// Every `async fn(ManualClock) -> Fixture` is a harness. Implement the trait on your own type if making a store needs
/// more than a function.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Makes an empty store that takes its dates from `clock` and shares nothing with any other store. Tests run in
    /// parallel.
    ///
    /// The store must accept 128 concurrent calls without refusing one as overloaded. This is called on a
    /// multi-threaded tokio runtime, which outlives the fixture. It should panic if it cannot make a store.
    async fn fresh(&self, clock: ManualClock) -> Fixture;

    /// Whether stores can be made here, for example because a server is installed. If this returns false, every test
    /// passes without checking anything, so it should print a warning.
    fn is_available(&self) -> bool {
        true
    }

    /// Whether a reader sees all of what one call changes or none of it, even while the call runs.
    /// [`DialogStore`] says which stores can do less, under *Seen whole*. If this returns false, the promises in
    /// [`snapshots`](crate::snapshots) and in [`order`](crate::order) are not checked.
    fn commits_are_seen_whole(&self) -> bool {
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

/// Makes stores that can be copied to another store, of the same backend or of another one.
#[async_trait]
pub trait CopyHarness: Send + Sync {
    /// Returns the harness that makes the stores to copy.
    fn harness(&self) -> &dyn Harness;

    /// Closes the store, copies all of it to another one, and opens that. It should panic if that fails.
    async fn copied(&self, fixture: Fixture, clock: ManualClock) -> Fixture;
}

/// A store under test, and everything that must outlive it, such as a temporary directory or a server.
pub struct Fixture {
    // Fields are dropped in this order.
    store: Arc<dyn DialogStore>,
    kept: Vec<Box<dyn Any + Send>>,
}

impl Fixture {
    /// A fixture with a store that needs nothing else.
    pub fn new(store: impl DialogStore + 'static) -> Self {
        Self { store: Arc::new(store), kept: Vec::new() }
    }

    /// A fixture with a store that is already shared.
    pub fn shared(store: Arc<dyn DialogStore>) -> Self {
        Self { store, kept: Vec::new() }
    }

    /// Keeps `kept` until the store has been dropped. Things are dropped in the order in which they were kept.
    #[must_use]
    pub fn keeping(mut self, kept: impl Send + 'static) -> Self {
        self.kept.push(Box::new(kept));
        self
    }

    /// Returns the store under test.
    pub fn store(&self) -> &dyn DialogStore {
        &*self.store
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("kept", &self.kept.len()).finish_non_exhaustive()
    }
}

/// Checks one promise on a fresh store. [`conformance!`](crate::conformance) calls this for every promise.
///
/// # Panics
/// If the store breaks the promise, or if this is called inside a tokio runtime: it makes its own.
pub fn uphold(harness: &dyn Harness, promise: impl AsyncFnOnce(&dyn DialogStore, &ManualClock)) {
    if !harness.is_available() {
        return;
    }
    let runtime = runtime();
    // What a fixture keeps might need the runtime when it is dropped.
    let _context = runtime.enter();
    let clock = ManualClock::default();
    let fixture = runtime.block_on(harness.fresh(clock.clone()));
    runtime.block_on(promise(fixture.store(), &clock));
}

/// Two workers are enough: they only run the tasks that a store spawns.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a tokio runtime can be built")
}

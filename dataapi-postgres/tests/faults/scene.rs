//! Helpers to open and query stores.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::Arc;

use dataapi_conformance::ManualClock;
use dataapi_conformance::scene::{self, worded};
use dataapi_core::{CustomerId, Dialog, DialogStore, NewDialog, StoreError};
use dataapi_postgres::{Options, PostgresStore};
use postgres_cluster::{Cluster, Settings};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

pub(crate) const CUSTOMER: &str = "anna";

pub(crate) fn from_env<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

pub(crate) fn choices() -> ChaCha8Rng {
    let seed = from_env("DATAAPI_FAULTS_SEED")
        .unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("DATAAPI_FAULTS_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

/// Starts a cluster that keeps acknowledged writes when it is killed, with additional settings.
pub(crate) fn durable(extra: &[(&str, &str)]) -> Cluster {
    // Only the server is killed, so the operating system still writes what it was given.
    let settings = Settings::durable().with(&[("fsync", "off")]).with(extra);
    Cluster::start(&settings).unwrap()
}

/// Few connections, so that calls have to share them.
pub(crate) fn options() -> Options {
    Options { shards: 8, readers: 4, lanes: 2, ..Options::default() }
}

/// Opens a store with this clock.
pub(crate) async fn open_at(url: &str, clock: &ManualClock) -> PostgresStore {
    let options = Options { clock: Arc::new(clock.clone()), ..options() };
    PostgresStore::open(url, options).await.unwrap()
}

pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, options()).await.unwrap()
}

pub(crate) fn customer() -> CustomerId {
    scene::customer(CUSTOMER)
}

pub(crate) fn dialog(id: &str) -> NewDialog {
    worded(CUSTOMER, id, "en", &format!("The text of {id}"))
}

pub(crate) async fn read(store: &dyn DialogStore, dialog: &str) -> Result<Dialog, StoreError> {
    scene::read(store, CUSTOMER, dialog).await
}

//! Short ways to open stores, to ask them, and to look at all that they hold.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::time::Duration;

use dataapi_core::{
    Audit, CustomerId, Decision, Dialog, DialogId, DialogStore, Event, Evidence, LedgerHead, Limit,
    NewDialog, Positions, Reach, Receipt, StoreError,
};
use dataapi_postgres::{Options, PostgresStore};
use postgres_cluster::{Cluster, Settings};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tokio::time::sleep;

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

/// A cluster that keeps what it acknowledges when it is killed, with more settings.
pub(crate) fn durable(extra: &[(&str, &str)]) -> Cluster {
    // What the operating system was given, it keeps.
    let extra = [("fsync", "off")].iter().chain(extra);
    let extra = extra.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Cluster::start(&Settings { durable: true, extra: extra.collect() }).unwrap()
}

/// Few connections, so that they are shared.
pub(crate) fn options() -> Options {
    Options { shards: 8, readers: 4, lanes: 2, ..Options::default() }
}

pub(crate) async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, options()).await.unwrap()
}

pub(crate) fn id(id: &str) -> DialogId {
    id.parse().unwrap()
}

pub(crate) fn customer() -> CustomerId {
    CUSTOMER.parse().unwrap()
}

pub(crate) fn dialog(id: &str) -> NewDialog {
    NewDialog::parse(CUSTOMER, id, "en", &format!("The text of {id}")).unwrap()
}

pub(crate) async fn decide(
    store: &dyn DialogStore,
    dialog: &str,
    decision: Decision,
) -> Result<Receipt, StoreError> {
    store.decide(id(dialog), decision, Evidence::default()).await
}

pub(crate) async fn read(store: &dyn DialogStore, dialog: &str) -> Result<Dialog, StoreError> {
    store.dialog(&customer(), &id(dialog), &Reach::default()).await
}

/// Whether the caller is told to ask again later.
pub(crate) fn is_for_later<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }))
}

/// What a store answered that was asked until it could, as clients do.
pub(crate) struct Told<T> {
    pub(crate) answer: Result<T, StoreError>,
    /// Whether an earlier try may have happened.
    pub(crate) again: bool,
}

/// Asks until there is an answer; refusals for now are counted as such.
pub(crate) async fn until_told<T, F>(mut ask: impl FnMut() -> F) -> Told<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut again = false;
    loop {
        let answer = ask().await;
        if !is_for_later(&answer) {
            return Told { answer, again };
        }
        again |= matches!(answer, Err(StoreError::Unavailable { .. }));
        sleep(Duration::from_millis(20)).await;
    }
}

/// All events of the ledger, after an audit, with a head that was noted earlier.
pub(crate) async fn audited(store: &dyn DialogStore, noted: Option<LedgerHead>) -> Vec<Event> {
    let mut after = Positions::START;
    let (mut audit, mut all) = (Audit::new(noted), Vec::new());
    loop {
        let events = store.events(&after, Limit::MAX).await.unwrap();
        if events.is_empty() {
            break;
        }
        for event in events {
            audit.check(&event).unwrap();
            after.pass(&event);
            all.push(event);
        }
    }
    assert_eq!(audit.finish().unwrap(), store.ledger_head().await.unwrap());
    all
}

//! Helpers that the tests of this folder share: stores in a temporary folder, keys, ledgers and copies.

#![allow(dead_code, reason = "each test file is a separate program and uses some of it")]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use dataapi_core::copy::{Copied, IncompleteCopy, Source, Stage, copy_store};
use dataapi_core::{DialogStore, Event, KeySecret, Limit, NewKey, Positions, Reach, Roles};
use dataapi_sqlite::{CopySource, CopyTarget, Options, Since, SqliteStore};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use tempfile::TempDir;

/// A folder that is removed after the test, and the path of a store in it.
pub(crate) fn new_path() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dialogs.db");
    (folder, path)
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Options::default()).unwrap()
}

/// A setting of the tests, read from the environment.
pub(crate) fn from_env<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Random choices, with the seed from the environment variable `seed`, or else a random one. It is printed.
pub(crate) fn choices(seed: &str) -> ChaCha8Rng {
    let number = from_env(seed).unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("{seed}={number}");
    ChaCha8Rng::seed_from_u64(number)
}

/// Adds keys with these names and the role `read`.
pub(crate) async fn create_keys(store: &dyn DialogStore, names: &[impl AsRef<str>]) {
    for name in names {
        let (name, grant) =
            (name.as_ref().parse().unwrap(), "read".parse::<Roles>().unwrap().into());
        let hash = KeySecret::from_bytes([7; 32]).hash();
        store.create_key(NewKey { name, grant, hash, expires: None }).await.unwrap();
    }
}

/// All events of a store, read `at_once` at a time.
pub(crate) async fn ledger(store: &dyn DialogStore, at_once: Limit) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut after = Positions::START;
    loop {
        let more = store.events(&after, at_once, &Reach::default()).await.unwrap();
        if more.is_empty() {
            return events;
        }
        for event in &more {
            after.pass(event);
        }
        events.extend(more);
    }
}

/// A ledger that was kept elsewhere.
pub(crate) fn since(events: Vec<Event>) -> Since {
    Since::Ledger(Box::new(events.into_iter().map(Ok::<_, io::Error>)))
}

/// A callback for a backup or a restore that never stops it.
pub(crate) fn go_on() -> impl FnMut(u64) -> ControlFlow<()> + Send {
    |_| ControlFlow::Continue(())
}

/// Copies the store at one path to another.
pub(crate) async fn copy(from: &Path, to: &Path) -> Result<Copied, IncompleteCopy> {
    copy_from(&mut CopySource::open(from).unwrap(), to).await
}

/// Copies a source to a new store at this path.
pub(crate) async fn copy_from(
    source: &mut dyn Source,
    to: &Path,
) -> Result<Copied, IncompleteCopy> {
    let mut target = CopyTarget::open(to).unwrap();
    let mut go_on = |_: Stage, _: u64, _: u64| ControlFlow::Continue(());
    copy_store(source, &mut target, &mut go_on).await
}

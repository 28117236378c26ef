//! Runs the conformance tests on the SQLite store.

use std::sync::Arc;

use dataapi_conformance::{Fixture, ManualClock};
use dataapi_sqlite::{Options, SqliteStore};

async fn fresh(clock: ManualClock) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { clock: Arc::new(clock), ..Options::default() };
    let store = SqliteStore::open(&folder.path().join("dialogs.db"), options).unwrap();
    Fixture::new(store).keeping(folder)
}

dataapi_conformance::conformance!(fresh);

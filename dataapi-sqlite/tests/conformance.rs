//! Runs the conformance tests on the SQLite store. After each of them the file of the store is intact.

use std::sync::Arc;

use dataapi_conformance::{Fixture, ManualClock};
use dataapi_sqlite::{Options, SqliteStore, check};
use tempfile::TempDir;

/// The folder of a store. When it is dropped, every page, count and reference of the store must be right.
struct Intact(TempDir);

impl Drop for Intact {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(check(&self.0.path().join("dialogs.db")).unwrap(), []);
        }
    }
}

async fn fresh(clock: ManualClock) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { clock: Arc::new(clock), ..Options::default() };
    let store = SqliteStore::open(&folder.path().join("dialogs.db"), options).unwrap();
    Fixture::new(store).keeping(Intact(folder))
}

dataapi_conformance::conformance!(fresh);

//! The example backend keeps every promise of the contract. Authors of a backend run the same suite on theirs.

#[path = "../examples/own_backend/list.rs"]
mod list;
#[path = "../examples/own_backend/list_store.rs"]
mod list_store;

use std::sync::Arc;

use dataapi::RefKey;
use dataapi_conformance::{Fixture, ManualClock};

async fn fresh(clock: ManualClock) -> Fixture {
    Fixture::new(list_store::ListStore::new(Arc::new(clock), RefKey::from_bytes([7; 32])))
}

dataapi_conformance::conformance!(fresh);

//! The reference model keeps every promise.

use std::sync::Arc;

use dataapi_conformance::{Fixture, ManualClock, conformance};
use dataapi_core::{MemoryStore, RefKey};

async fn fresh(clock: ManualClock) -> Fixture {
    Fixture::new(MemoryStore::new(Arc::new(clock), RefKey::from_bytes([7; 32])))
}

conformance!(fresh);

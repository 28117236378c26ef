//! The PostgreSQL store keeps every promise of a store, with one shard and with many.

use std::sync::Arc;

use async_trait::async_trait;
use dataapi_conformance::{Fixture, Harness, ManualClock};
use dataapi_postgres::{Options, PostgresStore};
use postgres_cluster::new_database;

/// Makes stores with this many shards, each in its own database.
struct OfShards(u16);

#[async_trait]
impl Harness for OfShards {
    async fn fresh(&self, clock: ManualClock) -> Fixture {
        let options = Options {
            clock: Arc::new(clock),
            shards: self.0,
            readers: 4,
            lanes: 2,
            ..Options::default()
        };
        Fixture::new(PostgresStore::open(&new_database(), options).await.expect("a store"))
    }

    fn is_available(&self) -> bool {
        postgres_cluster::available()
    }
}

mod one_shard {
    dataapi_conformance::conformance!(super::OfShards(1));
}

mod many_shards {
    dataapi_conformance::conformance!(super::OfShards(32));
}

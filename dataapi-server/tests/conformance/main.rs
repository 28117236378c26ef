//! Runs the conformance tests of a store over HTTP, with several backends.

mod http_store;

use std::sync::Arc;
use std::time::Duration;

use dataapi_conformance::early::HOLD;
use dataapi_conformance::{Fixture, ManualClock};
use dataapi_core::{Clock, DialogStore};
use dataapi_server::{Config, serve};
use http_store::HttpStore;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Starts two servers on `store`, one of which holds early decisions, and returns a store that calls them.
async fn served(store: Arc<dyn DialogStore>, clock: ManualClock) -> Fixture {
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let serving = |hold_early_decisions| {
        let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
        async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let (stop, stopped) = oneshot::channel::<()>();
            let shutdown = async {
                // This is ready when the fixture drops the other end.
                let _ = stopped.await;
            };
            let grace = Duration::ZERO;
            let config = Config { clock, grace, hold_early_decisions, ..Config::default() };
            tokio::spawn(serve(store, config, listener, shutdown));
            (address, stop)
        }
    };
    let (address, stop) = serving(None).await;
    let (holding, also_stop) = serving(Some(HOLD)).await;
    Fixture::new(HttpStore::new(address, holding, store)).keeping((stop, also_stop))
}

mod memory {
    use std::sync::Arc;

    use dataapi_conformance::{Fixture, ManualClock, conformance};
    use dataapi_core::{MemoryStore, RefKey};

    async fn fresh(clock: ManualClock) -> Fixture {
        let store = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
        super::served(Arc::new(store), clock).await
    }

    conformance!(fresh);
}

mod sqlite {
    use std::sync::Arc;

    use dataapi_conformance::{Fixture, ManualClock, conformance};

    async fn fresh(clock: ManualClock) -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("dialogs.db").display());
        let options = dataapi::OpenOptions::default().clock(Arc::new(clock.clone()));
        let store = options.open(&url).await.expect("a store");
        super::served(store, clock).await.keeping(folder)
    }

    conformance!(fresh);
}

mod postgres {
    use std::sync::Arc;

    use async_trait::async_trait;
    use dataapi_conformance::{Fixture, Harness, ManualClock, conformance};

    struct InDatabases;

    #[async_trait]
    impl Harness for InDatabases {
        async fn fresh(&self, clock: ManualClock) -> Fixture {
            let url = postgres_cluster::new_database();
            let options = dataapi::OpenOptions::default().clock(Arc::new(clock.clone()));
            let store = options.open(&url).await.expect("a store");
            super::served(store, clock).await
        }

        fn is_available(&self) -> bool {
            postgres_cluster::available()
        }
    }

    conformance!(InDatabases);
}

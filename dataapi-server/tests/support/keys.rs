//! Keys by number, and servers with such keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_conformance::ManualClock;
use dataapi_core::{Date, DialogStore, KeySecret, MemoryStore, NewKey, RefKey, Roles};
use dataapi_server::Config;

use crate::patience::PATIENCE;
use crate::server::{Answer, Server, ask};

/// All roles. [`with_keys`] has a key for each.
pub(crate) const ROLES: [&str; 6] = ["ingest", "consent", "read", "subject", "admin", "metrics"];

/// Returns the secret of the key with this number.
pub(crate) fn secret(number: u8) -> KeySecret {
    KeySecret::from_bytes([number; 32])
}

/// Creates the key with this number in the store.
pub(crate) async fn key(store: &dyn DialogStore, number: u8, roles: &str, expires: Option<Date>) {
    let name = format!("key-{number}").parse().expect("a name");
    let grant = roles.parse::<Roles>().expect("roles").into();
    let hash = secret(number).hash();
    store.create_key(NewKey { name, grant, hash, expires }).await.expect("a key is kept");
}

/// Starts a server on a store with a key for each role, numbered from 0.
pub(crate) async fn with_keys() -> (Server, ManualClock) {
    let clock = ManualClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
    for (number, role) in (0..).zip(ROLES) {
        key(&store, number, role, None).await;
    }
    let config = Config { clock: Arc::new(clock.clone()), ..Config::default() };
    (Server::start(Arc::new(store), config).await, clock)
}

/// Sends a request with the key of this number.
pub(crate) async fn with(
    server: &Server,
    number: u8,
    method: &str,
    target: &str,
    body: &str,
) -> Answer {
    let header = format!("authorization: Bearer {}\r\n", secret(number));
    ask(server.address, method, target, &header, body.as_bytes()).await
}

/// Sends requests with the key of this number until the answer has this status.
pub(crate) async fn becomes(server: &Server, number: u8, status: u16) {
    let started = Instant::now();
    loop {
        let answer = with(server, number, "GET", "/data/", "").await;
        if answer.status == status {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "the status stays {}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Keys by number, and servers that know them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_conformance::ManualClock;
use dataapi_core::{Date, DialogStore, KeySecret, MemoryStore, NewKey, RefKey, Roles};
use dataapi_server::Config;

use crate::patience::PATIENCE;
use crate::server::{Answer, Server, ask};

/// All roles, each of which [`with_keys`] has a key for.
pub(crate) const ROLES: [&str; 5] = ["ingest", "consent", "read", "subject", "admin"];

/// What the key of that number is.
pub(crate) fn secret(number: u8) -> KeySecret {
    KeySecret::from_bytes([number; 32])
}

/// Gives the store a key of that number.
pub(crate) async fn key(store: &dyn DialogStore, number: u8, roles: &str, expires: Option<Date>) {
    let name = format!("key-{number}").parse().expect("a name");
    let grant = roles.parse::<Roles>().expect("roles").into();
    let hash = secret(number).hash();
    store.create_key(NewKey { name, grant, hash, expires }).await.expect("a key is kept");
}

/// A server over a store with a key of each role, numbered from 0 on.
pub(crate) async fn with_keys() -> (Server, ManualClock) {
    let clock = ManualClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
    for (number, role) in (0..).zip(ROLES) {
        key(&store, number, role, None).await;
    }
    let config = Config { clock: Arc::new(clock.clone()), ..Config::default() };
    (Server::start(Arc::new(store), config).await, clock)
}

/// Asks with the key of that number.
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

/// Asks until the answer has that status, for as long as a slow machine may take.
pub(crate) async fn becomes(server: &Server, number: u8, status: u16) {
    let started = Instant::now();
    loop {
        let answer = with(server, number, "GET", "/data/", "").await;
        if answer.status == status {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "it stays {}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

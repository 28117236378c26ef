//! What the server says about itself, and to whom.

use std::time::Duration;

use dataapi_server::Config;
use serde_json::json;

use crate::access_log::Lines;
use crate::failing::Failing;
use crate::keys::{ROLES, with, with_keys};
use crate::server::{Server, ask};

/// What every caller gets.
fn for_all() -> serde_json::Value {
    json!({"name": "DataAPI", "version": env!("CARGO_PKG_VERSION")})
}

#[tokio::test]
async fn everyone_is_told_the_version_and_admins_what_is_switched_on() {
    let (server, _) = with_keys().await;
    for target in ["/version", "/v1/version"] {
        assert_eq!(server.get(target).await.json(), for_all());
        let wrong = "authorization: Bearer nothing\r\n";
        let answer = ask(server.address, "GET", target, wrong, b"").await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, for_all()),
            "the route is open, whatever the key"
        );
        for (number, role) in (0..).zip(ROLES) {
            let told = with(&server, number, "GET", target, "").await.json();
            assert_eq!(told.get("features").is_some(), role == "admin", "{role}: {told}");
        }
    }
}

#[tokio::test]
async fn without_keys_all_is_told_but_nothing_to_pages_of_other_sites() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("dialogs.db").display());
    let store = dataapi::OpenOptions::default().open(&url).await.expect("a store");
    let hold_early_decisions = Some(Duration::from_secs(1));
    let access_log = Some(Lines::unlimited() as _);
    let config = Config { hold_early_decisions, access_log, ..Config::default() };
    let server = Server::start(store, config).await;
    let told = server.get("/version").await.json();
    assert_eq!(told["features"], json!(["sqlite", "access-log", "early-decisions"]));
    assert!(told["schema"].as_u64().is_some_and(|schema| schema > 0), "{told}");
    let origin = "origin: https://elsewhere.example\r\n";
    let answer = ask(server.address, "GET", "/version", origin, b"").await;
    assert_eq!((answer.status, &*answer.problem()), (403, "origin-refused"));
}

#[tokio::test]
async fn a_store_that_fails_does_not_hide_the_version() {
    let failing = Failing(Some(|| dataapi_core::StoreError::backend("MARKER")));
    let server = Server::start(std::sync::Arc::new(failing), Config::default()).await;
    let told = server.get("/version").await.json();
    assert_eq!((&told["name"], &told["features"]), (&json!("DataAPI"), &json!([])), "{told}");
}

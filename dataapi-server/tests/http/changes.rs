//! The ledger over HTTP: followed from any position, with and without waiting. Early decisions.

use std::time::Duration;

use dataapi_server::Config;

use crate::server::{DIALOG, Server, memory};

#[tokio::test]
async fn changes_are_followed_from_any_position() {
    let server = Server::memory().await;
    for number in 0..5 {
        server.consented("anna", &format!("d-{number}"), "en", "text").await;
    }
    assert_eq!(server.post("/consents/d-3", "false").await.status, 200);
    let changes = server.get("/changes?after=3&limit=2").await.json();
    let positions: Vec<_> = changes["events"].as_array().expect("events").iter().collect();
    assert_eq!(positions.len(), 2);
    assert_eq!((&positions[0]["position"], &positions[1]["position"]), (&4.into(), &5.into()));
    assert_eq!(changes["next"], "5");
    assert_eq!(changes["head"]["positions"], "6");
    let last = server.get("/changes?after=5").await.json();
    assert_eq!(last["events"][0]["kind"], "withdrawn");
    assert_eq!(last["events"][0]["hash"], last["head"]["hash"]);
    assert_eq!(server.get("/changes?after=6").await.json()["events"], serde_json::json!([]));
    for bad in [
        "dialogs=1",
        "after=-1",
        "after=x",
        "after=",
        "after=1.",
        "after=%2B1",
        "limit=0",
        "wait=61s",
        "wait=1m",
        "wait=+5",
        "since=3",
    ] {
        assert_eq!(server.get(&format!("/changes?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_change_that_is_waited_for_is_told_when_it_comes() {
    let server = Server::memory().await;
    server.consented("anna", "d", "en", "text").await;
    let waiting = server.get("/changes?after=1&wait=60s");
    let withdrawn = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.post("/consents/d", "false").await
    };
    let (told, _) = tokio::join!(waiting, withdrawn);
    assert_eq!(told.json()["events"][0]["kind"], "withdrawn");
    let nothing = server.get("/changes?after=2&wait=1").await.json();
    assert_eq!(nothing["events"], serde_json::json!([]));
}

#[tokio::test]
async fn a_receipt_is_there_once_something_is_decided() {
    let server = Server::memory().await;
    assert_eq!(server.get("/consents/d/receipt").await.status, 404);
    server.post("/data/anna/d", DIALOG).await;
    assert_eq!(server.get("/consents/d/receipt").await.status, 404);
    assert_eq!(server.ask("DELETE", "/data/anna/d", "").await.status, 200);
    let receipt = server.get("/consents/d/receipt").await.json();
    assert_eq!(
        (&receipt["event_type"], &receipt["event_state"]),
        (&"erased".into(), &"erased".into())
    );
}

#[tokio::test]
async fn changes_come_with_their_dialogs_only_where_these_can_be_read() {
    let server = Server::memory().await;
    server.consented("anna", "stays", "en", "text").await;
    server.consented("anna", "goes", "en", "secret").await;
    assert_eq!(server.post("/consents/goes", "false").await.status, 200);
    let read = server.get("/data/anna/stays").await.json();
    let changes = server.get("/v1/changes?dialogs=true").await;
    assert!(!String::from_utf8_lossy(&changes.body).contains("secret"));
    let events = changes.json()["events"].as_array().expect("events").clone();
    assert_eq!(events[0]["dialog"], read);
    assert!(events[1].get("dialog").is_none() && events[2].get("dialog").is_none());
    let bare = server.get("/changes").await.json();
    assert!(bare["events"][0].get("dialog").is_none(), "dialogs come only with dialogs=true");
}

#[tokio::test]
async fn an_early_decision_is_held_where_that_is_wanted_and_refused_elsewhere() {
    let holding =
        Config { hold_early_decisions: Some(Duration::from_secs(15 * 60)), ..Config::default() };
    let server = Server::start(memory(), holding).await;
    let held = server.post("/consents/d", r#"{"consent":true,"notice":"v1"}"#).await;
    assert_eq!(held.status, 202);
    let held = held.json();
    assert_eq!((&held["dialog_id"], &held["consent"]), (&"d".into(), &"granted".into()));
    assert!(held["held_until"].as_str() > held["date"].as_str(), "{held}");
    let stored = server.post("/data/anna/d", DIALOG).await;
    assert_eq!(stored.status, 201);
    assert_eq!(stored.json()["consent_received"], true);
    assert_eq!(server.get("/data/anna/d").await.status, 200);

    let withdrawal = server.post("/consents/e", "false").await;
    assert_eq!(withdrawal.status, 202);
    assert_eq!(withdrawal.json()["held_until"], serde_json::Value::Null);
    assert_eq!(server.post("/data/anna/e", DIALOG).await.status, 410);
    assert_eq!(server.post("/consents/e", "false").await.status, 200, "it has a receipt now");
    assert_eq!(server.post("/consents/e", "true").await.status, 409);

    let strict = Server::memory().await;
    for decision in ["true", "false"] {
        assert_eq!(strict.post("/consents/d", decision).await.status, 404);
    }
    assert_eq!(strict.post("/data/anna/d", DIALOG).await.json()["consent_received"], false);
}

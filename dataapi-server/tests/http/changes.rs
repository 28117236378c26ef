//! The ledger over HTTP: followed from any position, and waited for.

use std::time::Duration;

use crate::support::Server;

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
    assert_eq!(changes["head"]["position"], 6);
    let last = server.get("/changes?after=5").await.json();
    assert_eq!(last["events"][0]["kind"], "withdrawn");
    assert_eq!(last["events"][0]["hash"], last["head"]["hash"]);
    assert_eq!(server.get("/changes?after=6").await.json()["events"], serde_json::json!([]));
    for bad in ["after=-1", "after=x", "limit=0", "wait=61s", "wait=1m", "wait=+5", "since=3"] {
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
    server.post("/data/anna/d", r#"{"text":"t","language":"en"}"#).await;
    assert_eq!(server.get("/consents/d/receipt").await.status, 404);
    assert_eq!(server.ask("DELETE", "/data/anna/d", "").await.status, 200);
    let receipt = server.get("/consents/d/receipt").await.json();
    assert_eq!(
        (&receipt["event_type"], &receipt["event_state"]),
        (&"erased".into(), &"erased".into())
    );
}

//! Request ids and metrics.

use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, Date, Dialogs, MemoryStore, NewDialog, RefKey};
use dataapi_server::Config;

use crate::server::{Server, ask, memory};

#[tokio::test]
async fn a_request_id_comes_back_if_it_is_fit_to_be_logged() {
    let server = Server::memory().await;
    let longest = "x".repeat(128);
    for (sent, kept) in [
        ("abc-DEF_1.2", true),
        (&*longest, true),
        ("", false),
        ("a b", false),
        ("anna@example.org", false),
        ("<script>", false),
        (&*"x".repeat(129), false),
    ] {
        let header = format!("x-request-id: {sent}\r\n");
        for target in ["/stats", "/nowhere"] {
            let answer = ask(server.address, "GET", target, &header, b"").await;
            let id = answer.header("x-request-id").expect("an id");
            assert_eq!(id == sent, kept, "{sent}");
            assert!(kept || uuid::Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7));
        }
    }
    let first = server.get("/stats").await;
    let second = server.get("/stats").await;
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn metrics_count_by_template_and_hold_no_ids() {
    let server = Server::memory().await;
    server.consented("MARKER-c", "MARKER-d", "en", "MARKER").await;
    server.get("/v1/data/MARKER-c/MARKER-d").await;
    server.get("/data/MARKER-c/MARKER-d").await;
    server.get("/data/?customerId=MARKER").await;
    server.get("/MARKER").await;
    server.ask("MARKER", "/stats", "").await;
    let answer = server.get("/metrics").await;
    let text = answer.text();
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!text.contains("MARKER"), "{text}");
    for line in [
        r#"dataapi_http_requests_total{route="/data/{customerId}/{dialogId}",method="POST",status="201"} 1"#,
        r#"dataapi_http_requests_total{route="/data/{customerId}/{dialogId}",method="GET",status="200"} 2"#,
        r#"dataapi_http_requests_total{route="/consents/{dialogId}",method="POST",status="200"} 1"#,
        r#"dataapi_http_requests_total{route="/data/",method="GET",status="200"} 1"#,
        r#"dataapi_http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"dataapi_http_requests_total{route="/stats",method="other",status="405"} 1"#,
        r#"dataapi_http_request_duration_seconds_count{route="/data/{customerId}/{dialogId}"} 3"#,
        "dataapi_http_requests_in_flight 1",
        r#"dataapi_dialogs{state="consented"} 1"#,
        r#"dataapi_dialogs{state="pending"} 0"#,
        r#"dataapi_commit_batch_size_bucket{le="+Inf"} 0"#,
        r#"dataapi_commit_batch_size_bucket{le="1024.0"} 0"#,
        "dataapi_commit_queue_depth 0",
        "dataapi_commit_queue_capacity 0",
        "dataapi_oldest_unscrubbed_erasure_seconds 0.0",
        "dataapi_access_log_lost_lines_total 0",
        "dataapi_access_log_failing 0",
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is missing in\n{text}");
    }
    let accept = "accept: application/openmetrics-text\r\n";
    let answer = ask(server.address, "GET", "/metrics", accept, b"").await;
    let text = answer.text();
    assert!(!text.contains("MARKER"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[tokio::test]
async fn metrics_come_in_the_format_that_the_client_asks_for() {
    let server = Server::memory().await;
    server.get("/stats").await;
    // What Prometheus 2 and 3 send, and what curl sends.
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
        application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
        application/openmetrics-text;version=0.0.1;q=0.5,\
        text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, is_open_metrics) in [
        ("", false),
        ("accept: */*\r\n", false),
        ("accept: text/plain;version=0.0.4\r\n", false),
        ("accept: text/plain, application/openmetrics-text;q=0.5\r\n", false),
        ("accept: application/openmetrics-text;q=0\r\n", false),
        ("accept: application/openmetrics-text; version=2.0.0\r\n", false),
        ("accept: application/json\r\n", false),
        ("accept: Application/OpenMetrics-Text; Version=\"1.0.0\"\r\n", true),
        ("accept: text/plain;q=0.5\r\naccept: application/openmetrics-text\r\n", true),
        (&format!("accept: {prometheus_2}\r\n"), true),
        (&format!("accept: {prometheus_3}\r\n"), true),
    ] {
        let answer = ask(server.address, "GET", "/metrics", accept, b"").await;
        assert_eq!(answer.status, 200, "{accept}");
        let kind = answer.header("content-type").expect("a type");
        let text = answer.text();
        let lines: Vec<_> = text.lines().collect();
        if is_open_metrics {
            assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
            assert_eq!(lines.last(), Some(&"# EOF"));
            assert!(lines.contains(&"# TYPE dataapi_http_requests counter"), "{text}");
            continue;
        }
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8", "{accept}");
        // Each sample is described by the name that stands in the format for its kind.
        let mut types = std::collections::BTreeMap::new();
        for line in lines {
            if let Some(described) = line.strip_prefix("# TYPE ") {
                let (name, kind) = described.split_once(' ').expect("a kind");
                assert!(types.insert(name, kind).is_none(), "{name} is described once");
            } else if !line.starts_with("# HELP ") {
                assert!(!line.starts_with('#'), "{line}");
                let name = line.split(['{', ' ']).next().expect("a name");
                let is_part = |name: &str| {
                    ["_bucket", "_sum", "_count"].into_iter().any(|part| {
                        let whole = name.strip_suffix(part);
                        whole.is_some_and(|whole| types.get(whole) == Some(&"histogram"))
                    })
                };
                assert!(types.contains_key(name) || is_part(name), "{line} in\n{text}");
            }
        }
        assert_eq!(types["dataapi_http_requests_total"], "counter");
        assert_eq!(types["dataapi_http_request_duration_seconds"], "histogram");
        assert!(text.contains("# HELP dataapi_http_requests_total Answered requests by route"));
        assert!(text.ends_with('\n') && !text.contains("# EOF"));
    }
}

#[derive(Debug)]
struct Frozen(Date);

impl Clock for Frozen {
    fn now(&self) -> Date {
        self.0
    }
}

#[tokio::test]
async fn dialogs_whose_consent_never_came_are_purged_at_the_start() {
    let after = Duration::from_secs(24 * 30 * 3_600);
    let received = "2026-01-01T00:00:00Z".parse::<Date>().expect("a date");
    let clock = Arc::new(Frozen(received));
    let store = Arc::new(MemoryStore::new(clock, RefKey::from_bytes([7; 32])));
    // More than one batch.
    for number in 0..1201 {
        let dialog = NewDialog::parse("anna", &format!("d-{number}"), "en", "x").expect("valid");
        store.insert(dialog).await.expect("stored");
    }
    let at = |date| Config {
        purge_pending_after: Some(after),
        clock: Arc::new(Frozen(date)),
        ..Config::default()
    };

    // A dialog is not due at the exact end of its time.
    let server = Server::start(store.clone(), at(received.saturating_add(after))).await;
    assert_eq!(server.get("/consents/d-0").await.json()["consent"], "pending");
    server.ended().await;

    let due = received.saturating_add(after + Duration::from_micros(1));
    let server = Server::start(store.clone(), at(due)).await;
    while server.store.stats().await.expect("counts").pending > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get("/consents/d-0").await.json()["consent"], "erased");
    // The counter is set right after the last batch. This test has one thread, so the request comes later.
    assert!(
        server
            .get("/metrics")
            .await
            .text()
            .contains(r#"dataapi_purged_dialogs_total{state="pending"} 1201"#)
    );
}

#[tokio::test]
async fn consented_dialogs_are_kept_for_as_long_as_is_set() {
    let clock = Arc::new(Frozen("2026-01-01T00:00:00Z".parse::<Date>().expect("a date")));
    let store = Arc::new(MemoryStore::new(clock, RefKey::from_bytes([7; 32])));
    let config = Config {
        retain_consented: Some(Duration::from_secs(1)),
        clock: Arc::new(Frozen("2026-01-02T00:00:00Z".parse::<Date>().expect("a date"))),
        ..Config::default()
    };
    for id in ["pending", "consented"] {
        let dialog = NewDialog::parse("anna", id, "en", "x").expect("valid");
        store.insert(dialog).await.expect("stored");
    }
    let granted = dataapi_core::Decision::Granted;
    store
        .decide("consented".parse().expect("an id"), granted, <_>::default())
        .await
        .expect("a grant");
    let server = Server::start(store, config).await;
    while server.store.stats().await.expect("counts").consented > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get("/consents/consented").await.json()["consent"], "erased");
    assert_eq!(server.get("/consents/pending").await.json()["consent"], "pending");
    let purged = r#"dataapi_purged_dialogs_total{state="consented"} 1"#;
    assert!(server.get("/metrics").await.text().contains(purged));
}

#[tokio::test]
async fn never_means_never() {
    let server = Server::start(memory(), Config::default()).await;
    server.post("/data/c/d", r#"{"text":"x","language":"en"}"#).await;
    tokio::task::yield_now().await;
    assert_eq!(server.get("/consents/d").await.json()["consent"], "pending");
}

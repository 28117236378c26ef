//! Strangers, who have no key: they take nothing for long that others need, and the metrics show what happened to them.

use std::time::Duration;

use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::greedy::greedy;
use crate::keys::{key, with};
use crate::server::{Server, memory};

const LONG: &str = "/docs/swagger-ui-bundle.js";

#[tokio::test]
async fn strangers_who_hardly_read_make_place_for_others() {
    let store = memory();
    key(&*store, 1, "admin", None).await;
    let config = Config {
        max_unauthorised_connections: Some(3),
        write_timeout: Duration::from_secs(600),
        ..Config::default()
    };
    let server = Server::start(store, config).await;
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let (status, mut connection) = greedy(server.address, LONG, "").await;
        assert_eq!(status, Some(200));
        // More than the system can take in.
        let more = format!("GET {LONG} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(32);
        connection.write_all(more.as_bytes()).await.expect("it is sent");
        strangers.push(connection);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let live = timeout(Duration::from_secs(10), server.get("/health/live")).await;
    assert_eq!(live.expect("it is answered in time").status, 200);
    let metrics = timeout(Duration::from_secs(10), with(&server, 1, "GET", "/metrics", "")).await;
    let metrics = metrics.expect("it is answered in time");
    let text = metrics.text();
    let closed = r#"dataapi_connections_closed_total{reason="place_needed"}"#;
    let value = text.lines().find_map(|line| line.strip_prefix(closed)).expect("the counter");
    assert!(value.trim().parse::<u64>().is_ok_and(|closed| closed > 0), "{value}");
    for line in [
        r#"dataapi_connections_closed_total{reason="address_limit"} 0"#,
        r#"dataapi_connections_closed_total{reason="no_room"} 0"#,
        r#"dataapi_connections_closed_total{reason="idle"} 0"#,
        r#"dataapi_connections_closed_total{reason="slow"} 0"#,
    ] {
        assert!(text.lines().any(|given| given == line), "{line} is missing in\n{text}");
    }
}

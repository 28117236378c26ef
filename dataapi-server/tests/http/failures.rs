//! A store that fails: what the answers say, and what they do not reveal.

use std::sync::Arc;
use std::time::Duration;

use dataapi_core::StoreError;
use dataapi_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failing::Failing;
use crate::patience::PATIENCE;
use crate::server::{Answer, Server, memory, read};

async fn failing(error: fn() -> StoreError) -> Server {
    Server::start(Arc::new(Failing(Some(error))), Config::default()).await
}

const REQUESTS: [(&str, &str, &str); 9] = [
    ("GET", "/data/", ""),
    ("GET", "/data/c/d", ""),
    ("POST", "/data/c/d", r#"{"text":"x","language":"en"}"#),
    ("DELETE", "/data/c/d", ""),
    ("GET", "/consents/d", ""),
    ("POST", "/consents/d", "true"),
    ("GET", "/customers/c/data", ""),
    ("DELETE", "/customers/c", ""),
    ("GET", "/stats", ""),
];

/// Whether the answer says that a change might have happened.
fn names_unknown_outcome(answer: &Answer) -> bool {
    answer.json()["detail"].as_str().expect("a detail").contains("happened whole or not at all")
}

#[tokio::test]
async fn an_overloaded_store_is_503_with_whole_seconds_to_wait() {
    let overloaded = || StoreError::Overloaded { retry_after: Duration::from_millis(1500) };
    let server = failing(overloaded).await;
    for (method, target, body) in REQUESTS {
        let answer = server.ask(method, target, body).await;
        assert_eq!((answer.status, &*answer.problem()), (503, "overloaded"), "{method} {target}");
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert!(!names_unknown_outcome(&answer), "nothing changed: {method} {target}");
    }
}

#[tokio::test]
async fn an_unavailable_store_is_503_and_its_reason_stays_inside() {
    let unavailable = || StoreError::Unavailable {
        reason: "MARKER disk full".into(),
        retry_after: Duration::ZERO,
    };
    let server = failing(unavailable).await;
    for (method, target, body) in REQUESTS {
        let answer = server.ask(method, target, body).await;
        assert_eq!((answer.status, &*answer.problem()), (503, "unavailable"), "{method} {target}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.text().contains("MARKER"));
        assert_eq!(names_unknown_outcome(&answer), method != "GET", "{method} {target}");
    }
}

#[tokio::test]
async fn a_broken_store_is_500_and_its_cause_stays_inside() {
    let server = failing(|| StoreError::backend("MARKER")).await;
    for (method, target, body) in REQUESTS {
        let answer = server.ask(method, target, body).await;
        assert_eq!((answer.status, &*answer.problem()), (500, "internal"), "{method} {target}");
        assert!(!answer.text().contains("MARKER"));
        assert_eq!(names_unknown_outcome(&answer), method != "GET", "{method} {target}");
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_request_only() {
    let server = failing(|| panic!("on purpose")).await;
    for (method, target, body) in REQUESTS {
        let answer = server.ask(method, target, body).await;
        assert_eq!((answer.status, &*answer.problem()), (500, "internal"), "{method} {target}");
        assert_eq!(names_unknown_outcome(&answer), method != "GET", "{method} {target}");
    }
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn health_and_metrics_tell_of_a_store_that_fails() {
    for error in [|| StoreError::backend("MARKER"), || StoreError::NotFound] {
        let server = failing(error).await;
        assert_eq!(server.get("/health/live").await.status, 200);
        let ready = server.get("/health/ready").await;
        assert_eq!((ready.status, &*ready.problem()), (503, "unavailable"));
        assert!(ready.header("retry-after").is_some());
        let metrics = server.get("/metrics").await;
        assert_eq!(metrics.status, 200);
        assert!(!metrics.text().contains("dataapi_dialogs{"));
        assert!(metrics.text().contains(r#"route="/health/ready",method="GET",status="503""#));
    }
}

#[tokio::test]
async fn a_clean_up_that_fails_does_not_stop_the_server() {
    let config = Config { purge_pending_after: Some(Duration::from_secs(1)), ..Config::default() };
    let server = Server::start(Arc::new(Failing(Some(|| StoreError::NotFound))), config).await;
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn what_takes_too_long_is_503_or_where_it_writes_the_end_of_the_connection() {
    let config = Config { answer_timeout: Duration::from_millis(50), ..Config::default() };
    let server = Server::start(Arc::new(Failing(None)), config).await;
    for (method, target, body) in REQUESTS {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let mut connection = server.connect().await;
        connection.write_all(request.as_bytes()).await.expect("it is sent");
        if method == "GET" {
            let mut answer = [0; 12];
            connection.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"HTTP/1.1 503", "{method} {target}");
        } else {
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).await.expect("the end");
            assert_eq!(answer, b"", "its outcome is unknown: {method} {target}");
        }
    }
    assert_eq!(server.get("/health/live").await.status, 200);
}

/// Whether a request for data is answered. If not, it was admitted and waits for the store.
async fn is_answered(server: &Server, waiting: &mut Vec<TcpStream>) -> bool {
    let mut connection = server.connect().await;
    let request = b"GET /data/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await.expect("it is sent");
    let answer = timeout(Duration::from_millis(200), read(&mut connection)).await;
    let Ok(answer) = answer else {
        waiting.push(connection);
        return false;
    };
    assert_eq!((answer.status, &*answer.problem()), (503, "overloaded"));
    assert!(answer.header("retry-after").is_some());
    true
}

#[tokio::test]
async fn more_requests_than_are_answered_at_once_are_told_to_come_back() {
    let answer_timeout = Duration::from_secs(2);
    let config = Config { max_in_flight: 2, answer_timeout, ..Config::default() };
    let server = Server::start(Arc::new(Failing(None)), config).await;
    let mut waiting = Vec::new();
    while !is_answered(&server, &mut waiting).await {
        assert!(waiting.len() <= 2, "there is room for only two requests");
    }
    assert_eq!(server.get("/health/live").await.status, 200, "health is answered all the same");
    let mut again = Vec::new();
    timeout(PATIENCE, async { while is_answered(&server, &mut again).await {} })
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn a_client_that_is_slow_to_send_takes_no_place() {
    let server = Server::start(memory(), Config { max_in_flight: 1, ..Config::default() }).await;
    let head = b"POST /data/anna/slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-length: 31\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..3 {
        let mut connection = server.connect().await;
        connection.write_all(head).await.expect("it is sent");
        slow.push(connection);
    }
    assert_eq!(server.get("/data/").await.status, 200);
    let mut one = slow.remove(0);
    one.write_all(br#""text":"t","language":"en" }  "#).await.expect("the rest is sent");
    assert_eq!(read(&mut one).await.status, 201);
}

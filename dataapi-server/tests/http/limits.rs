//! Limits: requests over a limit wait or get `Retry-After`, and the others are served meanwhile.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dataapi_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::keys::{key, with};
use crate::patience::PATIENCE;
use crate::server::{Server, ask, memory};

/// Sends the head of a request without its body.
async fn begun(server: &Server) -> TcpStream {
    let mut stream = server.connect().await;
    let head = "POST /data/anna/slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-length: 31\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_for_one_to_end() {
    let config = Config { max_connections: 2, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let (one, other) = (begun(&server).await, begun(&server).await);
    let waiting = server.get("/health/live");
    let mut waiting = std::pin::pin!(waiting);
    let early = timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "a third connection has to wait");
    drop(one);
    assert_eq!(timeout(PATIENCE, waiting).await.expect("it is served").status, 200);
    drop(other);
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_for_longer_than_a_head_may_take() {
    let head_timeout = Duration::from_millis(100);
    let config = Config { head_timeout, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let mut kept = server.connect().await;
    for _ in 0..3 {
        assert_eq!(live(&mut kept).await.expect("an answer"), "HTTP/1.1 200 OK");
        tokio::time::sleep(4 * head_timeout).await;
    }
    kept.write_all(b"GET /health/live HTTP/1.1\r\nhost").await.expect("a part of a head");
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, kept.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty(), "the next head takes too long");
}

#[tokio::test]
async fn a_connection_that_is_idle_for_too_long_is_closed() {
    let config = Config { idle_timeout: Duration::from_millis(100), ..Config::default() };
    let server = Server::start(memory(), config).await;
    let mut idle = server.connect().await;
    assert_eq!(live(&mut idle).await.expect("an answer"), "HTTP/1.1 200 OK");
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, idle.read_to_end(&mut rest)).await;
    assert!(closed.is_ok() && rest.is_empty());
}

/// Sends a request on a connection that stays open, and returns the status line.
async fn live(connection: &mut TcpStream) -> std::io::Result<String> {
    connection.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut byte = [0];
        connection.read_exact(&mut byte).await?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_longest_request_that_the_api_allows_has_room_and_a_longer_head_has_not() {
    let server = Server::memory().await;
    let positions = vec!["9".repeat(18); 1_024].join(".");
    let token = "x".repeat(8 * 1024);
    let head = format!("authorization: Bearer {token}\r\n");
    let target = format!("/v1/changes?after={positions}&limit=1000&dialogs=true&wait=00s");
    // One chain has no such positions, which is for the store to say.
    let answer = ask(server.address, "GET", &target, &head, b"").await;
    assert_ne!(answer.status, 431, "{answer:?}");
    let target = format!("/data/?cursor={}", "x".repeat(80_000));
    assert_eq!(ask(server.address, "GET", &target, "", b"").await.status, 431);
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_to_come_back_and_others_are_served() {
    let store = memory();
    for number in [1, 2] {
        key(&*store, number, "read", None).await;
    }
    let config = Config { max_rate: NonZeroU32::new(1), ..Config::default() };
    let server = Server::start(store, config).await;
    let ask = async |number| with(&server, number, "GET", "/data/", "").await;
    let started = Instant::now();
    let refused = loop {
        let answer = ask(1).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < PATIENCE, "it is never refused");
    };
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(ask(2).await.status, 200, "another key has its own rate");
    assert_eq!(ask(3).await.status, 401, "an unknown key stays unknown");
    assert_eq!(server.get("/health/live").await.status, 200);
    while ask(1).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "it is never served again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

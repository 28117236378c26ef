//! Limits: requests over a limit wait or get `Retry-After`, and the others are served meanwhile.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::keys::{key, with};
use crate::patience::PATIENCE;
use crate::server::{Server, memory};

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

//! Limits: what is too much waits or is told to come back, and the rest is served meanwhile.

use std::time::Duration;

use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Server, memory, read};

const PATIENCE: Duration = Duration::from_mins(1);

/// A request whose body is yet to come.
async fn begun(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.expect("a connection");
    let head = "POST /data/anna/slow HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-length: 31\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream
}

#[tokio::test]
async fn more_requests_than_are_answered_at_once_are_told_to_come_back() {
    let config = Config { max_in_flight: 2, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let (mut one, _other) = (begun(&server).await, begun(&server).await);
    let refused = timeout(PATIENCE, async {
        loop {
            let answer = server.get("/data/").await;
            // Until both have arrived there is a place.
            if answer.status != 200 {
                return answer;
            }
        }
    });
    let refused = refused.await.expect("the places are taken");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(server.get("/health/live").await.status, 200, "an operator is answered");
    assert_eq!(server.get("/changes").await.status, 200, "who waits for changes takes no place");

    one.write_all(br#"{"text":"t","language":"en" }  "#).await.expect("the body is sent");
    assert_eq!(read(&mut one).await.status, 201);
    assert_eq!(server.get("/data/").await.status, 200, "its place is free again");
}

#[tokio::test]
async fn more_connections_than_there_may_be_wait_for_one_to_end() {
    let config = Config { max_connections: 2, ..Config::default() };
    let server = Server::start(memory(), config).await;
    let (one, other) = (begun(&server).await, begun(&server).await);
    let waiting = server.get("/health/live");
    let mut waiting = std::pin::pin!(waiting);
    let early = timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "there is no place for a third");
    drop(one);
    assert_eq!(timeout(PATIENCE, waiting).await.expect("it is served").status, 200);
    drop(other);
}

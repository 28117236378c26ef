//! Limits: what is too much waits or is told to come back, and the rest is served meanwhile.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use dataapi_core::{KeySecret, NewKey, Roles};
use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Server, ask, memory};

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

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_to_come_back_and_others_are_served() {
    let store = memory();
    let secret = |number: u8| KeySecret::from_bytes([number; 32]);
    for (number, name) in [(1, "busy"), (2, "other")] {
        let grant = "read".parse::<Roles>().expect("a role").into();
        let name = name.parse().expect("a name");
        let key = NewKey { name, grant, hash: secret(number).hash(), expires: None };
        store.create_key(key).await.expect("a key is kept");
    }
    let config = Config { max_rate: NonZeroU32::new(1), ..Config::default() };
    let server = Server::start(store, config).await;
    let with = async |number| {
        let header = format!("authorization: Bearer {}\r\n", secret(number));
        ask(server.address, "GET", "/data/", &header, b"").await
    };
    let started = Instant::now();
    let refused = loop {
        let answer = with(1).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < PATIENCE, "it is never refused");
    };
    assert_eq!((refused.status, refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(with(2).await.status, 200, "another key has its own rate");
    assert_eq!(with(3).await.status, 401, "what is no key is none");
    assert_eq!(server.get("/health/live").await.status, 200);
    while with(1).await.status != 200 {
        assert!(started.elapsed() < PATIENCE, "it is never served again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

//! The shutdown: running requests are finished, idle connections closed, and hanging ones cut.

use std::time::Duration;

use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{Server, memory, read};

const HEAD: &[u8] = b"POST /data/c/d HTTP/1.1\r\nhost: localhost\r\ncontent-length: 28\r\n\
                      expect: 100-continue\r\n\r\n";

/// Begins a request, up to the point where the server waits for the body.
async fn in_flight(server: &Server) -> TcpStream {
    let mut connection = server.connect().await;
    connection.write_all(HEAD).await.expect("the head");
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    tokio::io::AsyncReadExt::read_exact(&mut connection, &mut go_on).await.expect("to go on");
    connection
}

#[tokio::test]
async fn what_runs_is_finished_and_what_is_idle_is_closed() {
    let mut server = Server::memory().await;
    let store = std::sync::Arc::clone(&server.store);
    let mut running = in_flight(&server).await;
    let mut idle = server.connect().await;
    server.stop();
    // The server closes it without sending anything: no answer is missing.
    let mut nothing = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut idle, &mut nothing).await;
    assert!(nothing.is_empty());

    running.write_all(br#"{"text":"x","language":"en"}"#).await.expect("the body");
    assert_eq!(read(&mut running).await.status, 201);
    let address = server.address;
    server.ended().await;
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert_eq!(store.stats().await.expect("counts").pending, 1);
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let config = Config { grace: Duration::from_millis(20), ..Config::default() };
    let server = Server::start(memory(), config).await;
    let store = std::sync::Arc::clone(&server.store);
    let _hanging = in_flight(&server).await;
    server.ended().await;
    assert_eq!(std::sync::Arc::strong_count(&store), 1, "nothing else holds the store");
}

#[tokio::test]
async fn a_head_that_never_comes_is_not_waited_for() {
    let config = Config { head_timeout: Duration::from_millis(20), ..Config::default() };
    let server = Server::start(memory(), config).await;
    for part in [&b""[..], b"GET /data/ HTTP/1.1\r\nhost"] {
        let mut connection = server.connect().await;
        connection.write_all(part).await.expect("a part");
        let mut rest = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut rest).await;
    }
}

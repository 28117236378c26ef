//! A client that asks for much and reads hardly any of it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::patience::PATIENCE;

/// Sends a request and reads the status of its answer and nothing more. The system takes in as little as it can. `None`
/// if the connection ends before.
pub(crate) async fn greedy(
    address: SocketAddr,
    target: &str,
    headers: &str,
) -> (Option<u16>, TcpStream) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("an option of sockets");
    let mut connection = socket.connect(address).await.expect("a connection");
    let request = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
    connection.write_all(request.as_bytes()).await.expect("it is sent");
    let mut line = [0; 12];
    let read = timeout(PATIENCE, connection.read_exact(&mut line)).await.expect("an answer");
    let digits = read.ok().and_then(|_| std::str::from_utf8(&line[9..]).ok());
    (digits.and_then(|digits| digits.parse().ok()), connection)
}

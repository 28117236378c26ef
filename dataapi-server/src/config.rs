//! How to serve: all that an operator may choose, resolved.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, SystemClock, Text};
use http::HeaderValue;

use crate::auth::access_log;
use crate::auth::tokens::TokenOptions;
use crate::net::tls::Tls;

/// The target of the access log's events, at the level of `info`: for a subscriber that gives them a sink of
/// their own.
pub const ACCESS_TARGET: &str = access_log::TARGET;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Config {
    /// The most bytes a text has. A body may be some six times as long, for its escapes.
    pub max_text_bytes: usize,
    /// The most bytes of newest pages that are kept ready to be sent again; 0 for none.
    pub page_cache_bytes: usize,
    /// When a pending dialog is erased because its consent never came; `None` for never.
    pub purge_pending_after: Option<Duration>,
    /// When a consented dialog is erased because it was kept for long enough, counted from when it was
    /// received; `None` for never.
    pub retain_consented: Option<Duration>,
    /// When the tombstone of a withdrawn or erased dialog is forgotten, which frees its id: a retry or
    /// an import that comes after that brings its text back. `None` for never.
    pub retain_tombstones: Option<Duration>,
    /// For how long a *yes* is held whose dialog was not received yet; `None` to hold none, and no
    /// early *no* either: a decision on an unknown dialog is then refused.
    pub hold_early_decisions: Option<Duration>,
    /// The erasure delay of the store: an erasure that has waited for longer to leave its files is
    /// warned of in the log.
    pub erase_within: Duration,
    /// Whether it is told at [`ACCESS_TARGET`] who asked for what.
    pub log_access: bool,
    /// The clock that tells how long a dialog has been pending: the store's own.
    pub clock: Arc<dyn Clock>,
    /// Which tokens of an identity provider are taken beside the store's keys; `None` for none. With them
    /// a store that has no keys is not open to everybody.
    pub tokens: Option<TokenOptions>,
    /// How many requests each key, and each subject of a token, may make a second; as many may come at
    /// once after a pause. `None` for any number.
    pub max_rate: Option<NonZeroU32>,
    /// How many connections there are at most; others wait until one ends.
    pub max_connections: usize,
    /// How many requests for data are answered at once at most; others are told to come back. One that
    /// waits for changes, or for the rest of its body, does not count.
    pub max_in_flight: usize,
    /// What encrypts the connections; `None` for none. Then whoever reads the network reads keys and
    /// dialogs: listen on loopback only.
    pub tls: Option<Arc<Tls>>,
    /// How much of bodies and answers is held in memory at once at most, in bytes, whoever is slow to send
    /// or to take them; what goes beyond is told to come back. Half of it is for bodies, an eighth for answers
    /// of up to 64 KiB, the rest for larger ones.
    pub max_buffered_bytes: usize,
    /// The origins, such as `https://console.example`, of web pages that may ask; none for only those of
    /// this server.
    pub cors_origins: Vec<HeaderValue>,
    /// How long a connection may take to send the head of a request, be idle before it, or agree on TLS.
    /// Over HTTP/2, one on which no request begins ends after up to twice that.
    pub head_timeout: Duration,
    /// How long a request may take to send its body.
    pub body_timeout: Duration,
    /// How long a request may take in all, its body included. A write that is not done by then gets no
    /// answer, but the end of its connection: nobody can say whether it will be.
    pub answer_timeout: Duration,
    /// How long a client may take nothing of its answer before it is cut.
    pub write_timeout: Duration,
    /// How long what runs at the shutdown may take to finish before it is cut.
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
            log_access: false,
            clock: Arc::new(SystemClock),
            tokens: None,
            max_rate: None,
            max_connections: 10_000,
            max_in_flight: 1_024,
            max_buffered_bytes: 512 << 20,
            cors_origins: Vec::new(),
            tls: None,
            head_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_mins(1),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

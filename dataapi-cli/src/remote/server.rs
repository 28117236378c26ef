//! A client for a server's HTTP API.

use std::io::Read;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi::{Change, Invalid, Positions};
use dataapi_wire::{Changes, Event};
use rustls::crypto::aws_lc_rs;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use crate::error::CommandError;

/// The longest answer to read, in bytes. If more changes are longer than this, fewer are asked for.
const LONGEST_ANSWER: u64 = 16 << 20;

/// The longest answer with one change: the longest text that a server can be set to accept, with each byte escaped as
/// six, and the other members.
const LONGEST_CHANGE: u64 = (16 << 20) * 6 + (64 << 10);

/// How long to wait for a connection, or for the head of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often to ask a server that says that it is busy, and the longest pause before asking again.
const TRIES: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The longest time for all requests; a clock could not count some longer ones.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A server at a known address.
#[derive(Clone)]
pub(crate) struct RemoteServer {
    agent: Agent,
    base: String,
    /// The value of the `Authorization` header, which holds the key.
    authorization: Option<String>,
    timeout: Duration,
    deadline: Instant,
}

/// How to ask a server.
pub(crate) struct RemoteOptions<'a> {
    /// The key, if the server needs one.
    pub(crate) key: Option<&'a str>,
    /// For all requests together.
    pub(crate) timeout: Duration,
    /// Whether to send the key to another machine without TLS.
    pub(crate) insecure_plaintext: bool,
}

/// Why a server gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error(
        "the request to the server failed (check its address, that it runs, and the key in DATAAPI_KEY)"
    )]
    Unreachable(#[source] Box<ureq::Error>),

    #[error(
        "the server redirects the request to another address, where the key is not sent; check the address, and give \
         the one that answers by itself"
    )]
    Redirected,

    #[error(
        "the server has not answered in full within {}; the file is a complete export, and the same command \
         continues; --timeout gives more time",
        humantime::format_duration(*.0)
    )]
    TooSlow(Duration),

    #[error(
        "the server is busy or its store is not available; the file is a complete export, and the same command, later, \
         continues"
    )]
    Busy,

    #[error("the answer is longer than any that a DataAPI server gives; check the address")]
    TooLong,

    #[error("the answer is not from a DataAPI server of this version; check the address")]
    Strange,
}

/// An answer of a server.
enum Answered {
    Body(Vec<u8>),
    /// The answer is longer than this program or the server allows.
    TooLong,
    /// The server wants to be asked again after this time.
    Busy(Duration),
}

impl From<ServerError> for CommandError {
    fn from(error: ServerError) -> Self {
        Self::Failed(Box::new(error))
    }
}

impl RemoteServer {
    /// Makes a client for the server at `url`; `None` if `url` is not an HTTP address. Refuses to send a key to
    /// another machine without TLS.
    pub(crate) fn at(url: &str, options: &RemoteOptions<'_>) -> Result<Option<Self>, Invalid> {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let is_encrypted = match scheme.as_deref() {
            Some("https") => true,
            Some("http") => false,
            _ => return Ok(None),
        };
        let wrong = |rule: &'static str| Invalid::new("--from", rule);
        let address = "must be the address of a server, such as https://dataapi.example";
        let uri: Uri = url.parse().map_err(|_| wrong(address))?;
        let (Some(authority), Some(host)) = (uri.authority(), uri.host()) else {
            return Err(wrong(address));
        };
        if authority.as_str().contains('@') {
            return Err(wrong(
                "must not contain a user and a password; give the key in DATAAPI_KEY or with --key-file",
            ));
        }
        if uri.query().is_some() {
            return Err(wrong(address));
        }
        if !is_encrypted && !is_loopback(host) && !options.insecure_plaintext {
            return Err(wrong(
                "must be an https: address, because anyone on the path to another machine could read the key and \
                 the dialogs; or accept that with --insecure-plaintext",
            ));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .http_status_as_error(false)
            // Somebody else's address must not get the key.
            .max_redirects(0)
            // A proxy would read what is not encrypted.
            .proxy(if is_encrypted { Proxy::try_from_env() } else { None })
            .build()
            .into();
        let base = url.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let authorization = options.key.map(|key| format!("Bearer {key}"));
        let timeout = options.timeout.min(LONGEST_TIMEOUT);
        let deadline = Instant::now() + timeout;
        Ok(Some(Self { agent, base, authorization, timeout, deadline }))
    }

    /// Requests at most `limit` changes after the positions `after`; fewer if they are long. Blocks until the answer
    /// is complete.
    pub(crate) fn changes(
        &self,
        after: &Positions,
        limit: u64,
    ) -> Result<Vec<Change>, ServerError> {
        let (mut limit, mut tries) = (limit, 1);
        loop {
            match self.body(after, limit)? {
                Answered::Body(body) => return parse_changes(&body).ok_or(ServerError::Strange),
                Answered::TooLong if limit == 1 => return Err(ServerError::TooLong),
                Answered::TooLong => limit = (limit / 8).max(1),
                Answered::Busy(_) if tries == TRIES => return Err(ServerError::Busy),
                Answered::Busy(pause) => {
                    tries += 1;
                    std::thread::sleep(pause.min(LONGEST_PAUSE).min(self.left()?));
                }
            }
        }
    }

    /// How much of the time for all requests is left.
    fn left(&self) -> Result<Duration, ServerError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ServerError::TooSlow(self.timeout)) } else { Ok(left) }
    }

    /// Requests changes and reads the body of the answer.
    fn body(&self, after: &Positions, limit: u64) -> Result<Answered, ServerError> {
        let url = format!("{}/v1/changes?dialogs=true&limit={limit}&after={after}", self.base);
        let mut request = self.agent.get(url).config().timeout_global(Some(self.left()?)).build();
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.call().map_err(|error| self.failed(error))?;
        match answer.status().as_u16() {
            200 => {}
            300..400 => return Err(ServerError::Redirected),
            429 | 503 => return Ok(Answered::Busy(retry_after(answer.headers()))),
            // A server with little room for answers refuses one with so many changes.
            400 if limit > 1 => return Ok(Answered::TooLong),
            status => return Err(self.failed(ureq::Error::StatusCode(status))),
        }
        let longest = if limit == 1 { LONGEST_CHANGE } else { LONGEST_ANSWER };
        let announced = answer.body().content_length();
        if announced.is_some_and(|length| length > longest) {
            return Ok(Answered::TooLong);
        }
        // A buffer that grew would take three times as much while it is copied. What is not used takes no memory.
        let capacity = usize::try_from(announced.unwrap_or(longest)).unwrap_or(usize::MAX);
        let mut body = Vec::with_capacity(capacity.saturating_add(1));
        let mut reader = answer.body_mut().as_reader().take(longest + 1);
        reader.read_to_end(&mut body).map_err(|error| self.failed(error.into()))?;
        Ok(if body.len() as u64 <= longest { Answered::Body(body) } else { Answered::TooLong })
    }

    fn failed(&self, error: ureq::Error) -> ServerError {
        match error {
            ureq::Error::Timeout(_) if Instant::now() >= self.deadline => {
                ServerError::TooSlow(self.timeout)
            }
            error => ServerError::Unreachable(Box::new(error)),
        }
    }
}

/// Returns how long the server wants to be left alone; a second if it does not say.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Whether what is sent to this host stays on this machine.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Parses the changes of an answer; `None` if it is not one of a DataAPI server.
fn parse_changes(body: &[u8]) -> Option<Vec<Change>> {
    let answer: Changes<'_> = serde_json::from_slice(body).ok()?;
    answer.events.into_iter().map(|event| Event::into_domain(event).ok()).collect()
}

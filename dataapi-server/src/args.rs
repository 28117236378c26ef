//! The command line: arguments and environment variables, and the settings that they result in.
// The doc comments of `Args` are the help text, which would show backticks.
#![allow(clippy::doc_markdown)]

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use dataapi_core::{Roles, Text};
use dataapi_server::{Config, JwksSource, PublicUrl, TlsFiles, TokenOptions, TrustedProxy};
use http::uri::Authority;
use http::{HeaderValue, Uri};
use tracing_subscriber::filter::Targets;

use crate::listen::ListenAt;
use crate::secrets::{SecretError, from_file};

/// The maximum of `--max-text-bytes`. A whole body is held in memory.
const TEXT_BYTES_CEILING: usize = 16 * 1024 * 1024;

/// Serves a store of dialogs over HTTP until it gets SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(version, name = "dataapi-server")]
pub(crate) struct Args {
    /// Host and port to listen on: an address, a name, or nothing for all addresses, such as ':8080'. Can be given
    /// several times, or once with commas. Port 0 takes any free port
    #[arg(
        long,
        env = "DATAAPI_LISTEN",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "127.0.0.1:8080"
    )]
    listen: Vec<ListenAt>,

    /// PEM file with the server's certificate, followed by its chain. Turns on TLS, with HTTP/1.1 and HTTP/2; the file
    /// is read again on SIGHUP and when it changes
    #[arg(long, env = "DATAAPI_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// PEM file with the certificate's private key
    #[arg(long, env = "DATAAPI_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// PEM file with the authorities that issue client certificates (mTLS). Only clients with such a certificate are
    /// served; they need a key as well
    #[arg(
        long,
        env = "DATAAPI_TLS_CLIENT_AUTHORITIES",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    tls_client_authorities: Option<PathBuf>,

    /// Allow listening beyond loopback without TLS. Anyone on the network path can then read keys and dialogs
    #[arg(long, env = "DATAAPI_INSECURE_PLAINTEXT")]
    insecure_plaintext: bool,

    /// The store: sqlite:PATH or postgres://USER@HOST/DATABASE, created if it is missing, or memory:. Put a URL with a
    /// password into the environment variable or a file, because other users of the machine can see the command line
    #[arg(
        long,
        env = "DATAAPI_STORE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:./dialogs.db"
    )]
    store: StoreUrl,

    /// File with the URL of the store, in place of --store
    #[arg(long, env = "DATAAPI_STORE_FILE", value_name = "FILE")]
    store_file: Option<PathBuf>,

    /// Maximum number of open connections. For a further one, the oldest idle connection is closed, first among those
    /// without an authorised request; if none is idle, it waits
    #[arg(
        long,
        env = "DATAAPI_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = Config::default().max_connections,
        value_parser = at_least_one,
    )]
    max_connections: usize,

    /// Maximum number of connections from one address, or from one /64 network of IPv6, unless it is a trusted proxy
    /// [default: half of --max-connections, but not fewer than 1024]
    #[arg(
        long,
        env = "DATAAPI_MAX_CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        value_parser = at_least_one
    )]
    max_connections_per_address: Option<usize>,

    /// Maximum number of connections without an authorised request. The other places are kept for clients with a key
    /// [default: three quarters of --max-connections]
    #[arg(
        long,
        env = "DATAAPI_MAX_UNAUTHORISED_CONNECTIONS",
        value_name = "N",
        value_parser = at_least_one
    )]
    max_unauthorised_connections: Option<usize>,

    /// Maximum number of bytes that connections take, beside bodies and answers: heads of requests, TLS, HTTP/2. For
    /// more, idle connections are closed
    #[arg(
        long,
        env = "DATAAPI_MAX_CONNECTION_BYTES",
        value_name = "BYTES",
        default_value_t = Config::default().max_connection_bytes,
        value_parser = connection_bytes,
    )]
    max_connection_bytes: usize,

    /// Maximum number of requests for data at once. Further ones get 503 with Retry-After
    #[arg(
        long,
        env = "DATAAPI_MAX_IN_FLIGHT",
        value_name = "N",
        default_value_t = Config::default().max_in_flight,
        value_parser = at_least_one,
    )]
    max_in_flight: usize,

    /// Time limit for the TLS handshake, and for the head of a request. The connection is then closed
    #[arg(
        long,
        env = "DATAAPI_HEAD_TIMEOUT",
        value_name = "TIME",
        default_value = "1m",
        value_parser = some_time,
    )]
    head_timeout: Duration,

    /// How long a connection is kept between requests. Longer than the idle time of a load balancer in front of the
    /// server, which is often 60 seconds
    #[arg(
        long,
        env = "DATAAPI_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "75s",
        value_parser = some_time,
    )]
    idle_timeout: Duration,

    /// Time limit for a client to send the body of a request. A slower one gets 408
    #[arg(
        long,
        env = "DATAAPI_BODY_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = some_time,
    )]
    body_timeout: Duration,

    /// How long a client can stop reading its answer before its connection is closed
    #[arg(
        long,
        env = "DATAAPI_WRITE_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = some_time,
    )]
    write_timeout: Duration,

    /// Time limit for a whole request, including its body. A slower read gets 503; a slower write loses its connection,
    /// because its outcome is unknown
    #[arg(
        long,
        env = "DATAAPI_ANSWER_TIMEOUT",
        value_name = "TIME",
        default_value = "1m",
        value_parser = some_time,
    )]
    answer_timeout: Duration,

    /// How long running requests may take to finish after SIGTERM or SIGINT. Their connections are then closed
    #[arg(
        long,
        env = "DATAAPI_SHUTDOWN_GRACE",
        value_name = "TIME",
        default_value = "5s",
        value_parser = humantime::parse_duration,
    )]
    shutdown_grace: Duration,

    /// Maximum number of bytes of bodies and answers in memory at once. Further requests get 503 with Retry-After
    #[arg(
        long,
        env = "DATAAPI_MAX_BUFFERED_BYTES",
        value_name = "BYTES",
        default_value_t = Config::default().max_buffered_bytes,
        value_parser = at_least_one,
    )]
    max_buffered_bytes: usize,

    /// Origin of web pages that may send requests, such as 'https://console.example'; can be given several times,
    /// or once with commas. Without it, only the server's own pages may
    #[arg(
        long,
        env = "DATAAPI_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    cors_origin: Vec<HeaderValue>,

    /// The URL that clients reach the server under, such as 'https://host.example/dataapi', if a reverse proxy is in
    /// front of it. URLs in answers begin with its path, which the proxy must strip; web pages of its origin may send
    /// requests
    #[arg(long, env = "DATAAPI_PUBLIC_URL", value_name = "URL")]
    public_url: Option<PublicUrl>,

    /// Address or network of a reverse proxy, such as '10.0.0.0/8'; can be given several times, or once with commas.
    /// Forwarded, and X-Forwarded-For, -Proto, -Host and -Prefix, are believed only from there
    #[arg(
        long = "trusted-proxy",
        env = "DATAAPI_TRUSTED_PROXY",
        value_name = "ADDR",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<TrustedProxy>,

    /// Maximum number of requests per second for each key. Further ones get 429 with Retry-After [default: no limit]
    #[arg(long, env = "DATAAPI_MAX_RATE", value_name = "N")]
    max_rate: Option<NonZeroU32>,

    /// The identity provider's keys: a JWK set in a file or at an https: URL. With it, the server accepts the
    /// provider's tokens (JWT) as well as keys
    #[arg(
        long,
        env = "DATAAPI_JWT_KEYS",
        value_name = "FILE|URL",
        requires = "jwt_issuer",
        requires = "jwt_audience"
    )]
    jwt_keys: Option<JwksSource>,

    /// The issuer that a token's claim 'iss' must name
    #[arg(long, env = "DATAAPI_JWT_ISSUER", value_name = "NAME", requires = "jwt_keys")]
    jwt_issuer: Option<String>,

    /// The audience that a token's claim 'aud' must be or contain
    #[arg(long, env = "DATAAPI_JWT_AUDIENCE", value_name = "NAME", requires = "jwt_keys")]
    jwt_audience: Option<String>,

    /// The claim that names a token's roles. Write a nested claim with dots, such as 'realm_access.roles'
    #[arg(
        long,
        env = "DATAAPI_JWT_ROLES_CLAIM",
        value_name = "CLAIM",
        default_value = "roles",
        requires = "jwt_keys"
    )]
    jwt_roles_claim: String,

    /// The roles that a name in the roles claim grants, such as 'analysts=read'; can be given several times, or once
    /// with semicolons. Without it, the claim must have the roles' own names
    #[arg(
        long,
        env = "DATAAPI_JWT_ROLE",
        value_name = "NAME=ROLES",
        value_delimiter = ';',
        value_parser = named_roles,
        requires = "jwt_keys"
    )]
    jwt_role: Vec<(String, Roles)>,

    /// How far the clocks of this machine and of the identity provider can differ
    #[arg(
        long,
        env = "DATAAPI_JWT_LEEWAY",
        value_name = "TIME",
        default_value = "1m",
        value_parser = humantime::parse_duration,
        requires = "jwt_keys"
    )]
    jwt_leeway: Duration,

    /// Maximum length of a dialog's text, in bytes
    #[arg(
        long,
        env = "DATAAPI_MAX_TEXT_BYTES",
        value_name = "BYTES",
        default_value_t = Text::DEFAULT_MAX_BYTES,
        value_parser = text_bytes,
    )]
    max_text_bytes: usize,

    /// A PostgreSQL standby to read pages from; can be given several times, or once with commas. It is used only while
    /// it shows exactly the decisions and erasures that the primary shows
    #[arg(
        long = "read-replica",
        env = "DATAAPI_READ_REPLICA",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    read_replicas: Vec<StoreUrl>,

    /// File with the URLs of standbys in one line, with commas between them, in place of --read-replica
    #[arg(long = "read-replica-file", env = "DATAAPI_READ_REPLICA_FILE", value_name = "FILE")]
    read_replicas_file: Option<PathBuf>,

    /// About how many bytes of the store to cache in memory for writes. Reads use the operating system's cache
    #[arg(long, env = "DATAAPI_STORE_CACHE_BYTES", value_name = "BYTES", default_value_t = 16 << 20)]
    store_cache_bytes: usize,

    /// Maximum number of bytes of recent first pages to cache. 0 turns the cache off
    #[arg(
        long,
        env = "DATAAPI_PAGE_CACHE_BYTES",
        value_name = "BYTES",
        default_value_t = Config::default().page_cache_bytes,
    )]
    page_cache_bytes: usize,

    /// How long a dialog can wait for its customer's decision before it is erased: a time such as '30d' or '12h', or
    /// 'never'
    #[arg(
        long,
        env = "DATAAPI_PURGE_PENDING_AFTER",
        value_name = "TIME",
        default_value = "30d",
        value_parser = retention,
    )]
    purge_pending_after: Retention,

    /// How long a consented dialog is kept before it is erased, counted from when it was received: a time such as
    /// '365d', or 'never'
    #[arg(
        long,
        env = "DATAAPI_RETAIN_CONSENTED",
        value_name = "TIME",
        default_value = "never",
        value_parser = retention,
    )]
    retain_consented: Retention,

    /// How long the tombstone of a withdrawn or erased dialog is kept: a time such as '3650d', or 'never'. Once it is
    /// removed, a late retry or an import can store the dialog again
    #[arg(
        long,
        env = "DATAAPI_RETAIN_TOMBSTONES",
        value_name = "TIME",
        default_value = "never",
        value_parser = retention,
    )]
    retain_tombstones: Retention,

    /// Hold decisions on dialogs that were not received yet: a grant for this time, such as '15m', a withdrawal without
    /// limit. Without it, early decisions get 404
    #[arg(
        long,
        env = "DATAAPI_HOLD_EARLY_DECISIONS",
        value_name = "TIME",
        value_parser = some_time,
    )]
    hold_early_decisions: Option<Duration>,

    /// The erasure delay: how long after a withdrawal or an erasure the dialog's bytes can remain in a file of the
    /// store. '0s' means at once
    #[arg(
        long,
        env = "DATAAPI_ERASE_WITHIN",
        value_name = "TIME",
        default_value = "1s",
        value_parser = humantime::parse_duration,
    )]
    erase_within: Duration,

    /// File or named pipe to append an access log to, in JSON Lines. Each line has the name of the key, the route, the
    /// status, and keyed hashes in place of ids. It is opened again on SIGHUP
    #[arg(long, env = "DATAAPI_ACCESS_LOG", value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// Answer requests for data only if their line in the access log is written. Others get 503 with Retry-After, and
    /// change nothing. A write has two lines
    #[arg(long, env = "DATAAPI_REQUIRE_ACCESS_LOG", requires = "access_log")]
    require_access_log: bool,

    /// Format of the log on standard error and of the start line on standard output
    #[arg(long, env = "DATAAPI_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,

    /// What to log: 'error', 'warn', 'info' or 'debug' (each request), or a filter by module, such as
    /// 'dataapi_server=debug'
    #[arg(long, env = "DATAAPI_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object per line
    Json,
}

/// How long something is kept; `None` for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention(Option<Duration>);

/// The URL of a store, which can contain a password.
#[derive(Clone)]
pub(crate) struct StoreUrl(String);

impl StoreUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for StoreUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

/// Shows the URL without its password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dataapi::shown(&self.0).fmt(f)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

/// The settings of the program, from its arguments and its environment.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: Vec<ListenAt>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) insecure_plaintext: bool,
    pub(crate) store: StoreUrl,
    pub(crate) read_replicas: Vec<StoreUrl>,
    pub(crate) store_cache_bytes: usize,
    pub(crate) erase_within: Duration,
    pub(crate) config: Config,
    pub(crate) access_log: Option<PathBuf>,
    pub(crate) log: Targets,
    pub(crate) log_format: LogFormat,
}

/// Why the arguments cannot be used, although each of them was parsed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error(
        "refusing to listen on {0}: the store has no keys and the server accepts no tokens, so anyone who can reach \
         that address could read the dialogs. Create a key with 'dataapi key create', or listen on loopback \
         (--listen 127.0.0.1:{port})",
        port = .0.port()
    )]
    OpenToTheNetwork(SocketAddr),

    #[error(
        "refusing to listen on {0} without TLS: anyone on the network path could read keys and dialogs. Give \
         --tls-certificate and --tls-key, or listen on loopback (--listen 127.0.0.1:{port}) behind a reverse \
         proxy that speaks TLS, or accept the risk with --insecure-plaintext",
        port = .0.port()
    )]
    Plaintext(SocketAddr),

    #[error(
        "refusing to serve {0}: the store has no keys and the server accepts no tokens, so the proxy would open the \
         dialogs to anyone who can reach that URL. Create a key with 'dataapi key create'"
    )]
    OpenThroughAProxy(PublicUrl),

    #[error(
        "--max-buffered-bytes must be at least {0}, because a text can have --max-text-bytes: with less, the longest \
         dialogs could never be stored or read"
    )]
    Buffers(usize),

    #[error("--log must be a filter such as 'info' or 'dataapi_server=debug'")]
    Log,
}

impl Args {
    /// Parses the command line and the environment, and reads the secrets that are in files. Where that is wrong, or
    /// help was asked for, it ends the process.
    pub(crate) fn read() -> Result<Self, SecretError> {
        let matches = Self::command().try_get_matches().unwrap_or_else(|error| end(error));
        let mut args = Self::from_arg_matches(&matches)
            .unwrap_or_else(|error| end(error.format(&mut Self::command())));
        let store = ("--store-file", "store_file", args.store_file.as_deref());
        if let Some(url) = from_file(&matches, "store", store)? {
            args.store = url.into();
        }
        let replicas =
            ("--read-replica-file", "read_replicas_file", args.read_replicas_file.as_deref());
        if let Some(urls) = from_file(&matches, "read_replicas", replicas)? {
            args.read_replicas = urls.split(',').map(|url| url.to_owned().into()).collect();
        }
        Ok(args)
    }

    pub(crate) fn resolve(self) -> Result<Settings, ArgsError> {
        let log = self.log.parse::<Targets>().map_err(|_| ArgsError::Log)?;
        let tokens = match (self.jwt_keys, self.jwt_issuer, self.jwt_audience) {
            (Some(keys), Some(issuer), Some(audience)) => {
                let mut tokens = TokenOptions::new(keys, issuer, audience);
                tokens.roles_claim = self.jwt_roles_claim;
                tokens.leeway = self.jwt_leeway;
                if !self.jwt_role.is_empty() {
                    tokens.roles = self.jwt_role.into_iter().collect();
                }
                Some(tokens)
            }
            _ => None,
        };
        let config = Config {
            max_text_bytes: self.max_text_bytes,
            max_connections: self.max_connections,
            max_in_flight: self.max_in_flight,
            max_connections_per_address: self.max_connections_per_address,
            max_unauthorised_connections: self.max_unauthorised_connections,
            max_connection_bytes: self.max_connection_bytes,
            head_timeout: self.head_timeout,
            idle_timeout: self.idle_timeout,
            body_timeout: self.body_timeout,
            write_timeout: self.write_timeout,
            answer_timeout: self.answer_timeout,
            grace: self.shutdown_grace,
            max_buffered_bytes: self.max_buffered_bytes,
            cors_origins: self.cors_origin,
            public_url: self.public_url,
            trusted_proxies: self.trusted_proxies,
            max_rate: self.max_rate,
            tokens,
            page_cache_bytes: self.page_cache_bytes,
            purge_pending_after: self.purge_pending_after.0,
            retain_consented: self.retain_consented.0,
            retain_tombstones: self.retain_tombstones.0,
            hold_early_decisions: self.hold_early_decisions,
            require_access_log: self.require_access_log,
            erase_within: self.erase_within,
            ..Config::default()
        };
        let least = config.least_buffered_bytes();
        if config.max_buffered_bytes < least {
            return Err(ArgsError::Buffers(least));
        }
        let tls = self.tls_certificate.zip(self.tls_key).map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_authorities: self.tls_client_authorities,
        });
        let Self { listen, insecure_plaintext, store, read_replicas, .. } = self;
        let Self { store_cache_bytes, erase_within, access_log, log_format, .. } = self;
        Ok(Settings {
            listen,
            tls,
            insecure_plaintext,
            store,
            read_replicas,
            store_cache_bytes,
            erase_within,
            config,
            access_log,
            log,
            log_format,
        })
    }
}

/// Prints the help, or what is wrong with the command line, and ends the process.
fn end(error: clap::Error) -> ! {
    without_secrets(error).exit()
}

/// The error without the passwords that a value which it repeats could hold, such as a URL without its flag.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue] {
        let Some(ContextValue::String(typed)) = error.get(kind) else { continue };
        let shown = dataapi::redacted(typed);
        if shown != *typed {
            error.insert(kind, ContextValue::String(shown));
            // It shows how to pass the value otherwise.
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Refuses an address beyond loopback, unless callers need a key or a token and the connection is encrypted.
pub(crate) fn may_listen(
    listen: SocketAddr,
    has_keys: bool,
    is_encrypted: bool,
    insecure_plaintext: bool,
) -> Result<(), ArgsError> {
    if listen.ip().to_canonical().is_loopback() {
        Ok(())
    } else if !has_keys {
        Err(ArgsError::OpenToTheNetwork(listen))
    } else if !is_encrypted && !insecure_plaintext {
        Err(ArgsError::Plaintext(listen))
    } else {
        Ok(())
    }
}

/// Refuses a public URL that others can reach, unless callers need a key or a token.
pub(crate) fn may_be_public(url: Option<&PublicUrl>, has_keys: bool) -> Result<(), ArgsError> {
    match url {
        Some(url) if !has_keys && !url.is_loopback() => {
            Err(ArgsError::OpenThroughAProxy(url.clone()))
        }
        _ => Ok(()),
    }
}

/// Parses an origin (RFC 6454, section 6.2): a scheme, a host, and a port if it is not the scheme's default.
fn origin(value: &str) -> Result<HeaderValue, String> {
    let wrong = "must be a scheme and a host without a path, such as 'https://console.example'";
    let uri: Uri = value.parse().map_err(|_| wrong)?;
    let written = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map(Authority::as_str).unwrap_or_default()
    );
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    if is_web && written == value {
        value.parse().map_err(|_| wrong.into())
    } else {
        Err(wrong.into())
    }
}

fn named_roles(value: &str) -> Result<(String, Roles), String> {
    let (name, roles) =
        value.split_once('=').ok_or("must be a name, '=' and roles, such as 'analysts=read'")?;
    let roles = roles.parse().map_err(|error: dataapi_core::Invalid| error.to_string())?;
    Ok((name.to_owned(), roles))
}

fn at_least_one(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number, at least 1".to_owned()),
    }
}

fn connection_bytes(value: &str) -> Result<usize, String> {
    const LEAST: usize = Config::LEAST_CONNECTION_BYTES;
    match value.parse() {
        Ok(bytes) if bytes >= LEAST => Ok(bytes),
        _ => Err(format!("must be a whole number, at least {LEAST}")),
    }
}

fn text_bytes(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(bytes) if (1..=TEXT_BYTES_CEILING).contains(&bytes) => Ok(bytes),
        _ => Err(format!("must be a whole number from 1 to {TEXT_BYTES_CEILING}")),
    }
}

fn retention(value: &str) -> Result<Retention, String> {
    if value == "never" {
        return Ok(Retention(None));
    }
    match humantime::parse_duration(value) {
        Ok(after) if !after.is_zero() => Ok(Retention(Some(after))),
        _ => Err("must be a time above zero, such as '30d' or '12h', or 'never'".to_owned()),
    }
}

fn some_time(value: &str) -> Result<Duration, String> {
    match humantime::parse_duration(value) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be a time above zero, such as '15m' or '30s'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &[&str]) -> Result<Settings, ArgsError> {
        Args::try_parse_from([&["dataapi-server"], args].concat()).expect("arguments").resolve()
    }

    #[test]
    fn the_definition_is_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn others_are_let_in_only_with_keys_and_with_tls_or_a_word_on_plain_text() {
        let may = |address: &str, has_keys, is_encrypted, insecure_plaintext| {
            let address = address.parse().expect(address);
            may_listen(address, has_keys, is_encrypted, insecure_plaintext)
        };
        for address in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:8080", "[::ffff:127.0.0.1]:1"] {
            assert!(may(address, false, false, false).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:8080", "[::]:8080", "192.168.0.1:80", "[::ffff:10.0.0.1]:1"] {
            for (tls, plain) in [(false, false), (false, true), (true, false)] {
                let refused = may(address, false, tls, plain);
                assert!(matches!(refused, Err(ArgsError::OpenToTheNetwork(_))), "{address}");
            }
            let refused = may(address, true, false, false);
            assert!(matches!(refused, Err(ArgsError::Plaintext(_))), "{address}");
            assert!(may(address, true, false, true).is_ok(), "{address}");
            assert!(may(address, true, true, false).is_ok(), "{address}");
        }
    }

    #[test]
    fn values_outside_their_bounds_are_refused() {
        for args in [
            ["--max-text-bytes", "0"],
            ["--max-text-bytes", "16777217"],
            ["--max-text-bytes", "-1"],
            ["--purge-pending-after", "0s"],
            ["--purge-pending-after", "30"],
            ["--purge-pending-after", "soon"],
            ["--max-connections", "0"],
            ["--max-in-flight", "0"],
            ["--max-rate", "0"],
            ["--head-timeout", "0s"],
            ["--idle-timeout", "0s"],
            ["--shutdown-grace", "soon"],
            ["--max-connection-bytes", "0"],
            ["--max-connection-bytes", "1048575"],
            ["--max-connections-per-address", "0"],
            ["--max-unauthorised-connections", "0"],
            ["--body-timeout", "30"],
            ["--max-buffered-bytes", "0"],
            ["--cors-origin", "*"],
            ["--cors-origin", "console.example"],
            ["--cors-origin", "https://console.example/"],
            ["--public-url", "host.example/dataapi"],
            ["--public-url", "https://host.example/dataapi?a=b"],
            ["--trusted-proxy", "proxy.example"],
            ["--trusted-proxy", "10.0.0.0/33"],
            ["--jwt-keys", "keys.json"],
            ["--jwt-issuer", "https://id.example"],
            ["--jwt-keys", "http://id.example/keys"],
            ["--jwt-role", "analysts"],
            ["--hold-early-decisions", "0s"],
            ["--hold-early-decisions", "never"],
            ["--retain-tombstones", "0s"],
            ["--erase-within", "1"],
            ["--erase-within", "never"],
            ["--listen", "8080"],
            ["--tls-certificate", "server.pem"],
            ["--tls-key", "server.key"],
            ["--tls-client-authorities", "clients.pem"],
            ["--log-format", "xml"],
            ["--require-access-log", "--insecure-plaintext"],
        ] {
            let parsed = Args::try_parse_from(["dataapi-server", args[0], args[1]]);
            assert!(parsed.is_err(), "{args:?}");
        }
        assert!(matches!(resolve(&["--log", "a=b=c"]), Err(ArgsError::Log)));
    }

    #[test]
    fn the_longest_text_must_fit_into_the_buffers() {
        let longest = ["--max-text-bytes", "16777216"];
        assert!(resolve(&longest).is_ok(), "the default is enough for every text");
        let buffers = |bytes| resolve(&["--max-buffered-bytes", bytes]);
        assert!(buffers("4194304").is_ok());
        assert!(matches!(buffers("1000000"), Err(ArgsError::Buffers(least)) if least < 4_194_304));
        let refused = resolve(&[&longest[..], &["--max-buffered-bytes", "67108864"]].concat());
        assert!(matches!(refused, Err(ArgsError::Buffers(_))));
    }

    #[test]
    fn a_public_url_that_others_reach_needs_keys() {
        let may = |url: &str, has_keys| may_be_public(Some(&url.parse().expect(url)), has_keys);
        let refused = may("https://host.example/dataapi", false);
        assert!(matches!(refused, Err(ArgsError::OpenThroughAProxy(_))));
        assert!(may("https://host.example/dataapi", true).is_ok());
        assert!(may("http://localhost:8081/dataapi", false).is_ok());
        assert!(may_be_public(None, false).is_ok());
    }

    #[test]
    fn proxies_are_given_one_by_one_or_with_commas() {
        let args = ["--trusted-proxy", "10.0.0.1,fd00::/8", "--trusted-proxy", "127.0.0.1"];
        let settings = resolve(&args).expect("settings");
        assert_eq!(settings.config.trusted_proxies.len(), 3);
    }

    #[test]
    fn a_retention_is_a_time_or_never() {
        let after = |value| retention(value).map(|Retention(after)| after);
        assert_eq!(after("30d"), Ok(Some(Duration::from_secs(30 * 24 * 3_600))));
        assert_eq!(after("1h 30m"), Ok(Some(Duration::from_secs(90 * 60))));
        assert_eq!(after("never"), Ok(None));
    }
}

//! The command line: what was typed or stands in the environment, and what it comes to.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use dataapi_core::{Roles, Text};
use dataapi_server::{Config, JwksSource, TlsFiles, TokenOptions};
use http::uri::Authority;
use http::{HeaderValue, Uri};
use tracing_subscriber::filter::Targets;

/// The most that `--max-text-bytes` may be: a whole body is held in memory.
const TEXT_BYTES_CEILING: usize = 16 * 1024 * 1024;

/// Serves a store of dialogs over HTTP, until SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(version, name = "dataapi-server")]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes any free one
    #[arg(
        long,
        env = "DATAAPI_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,

    /// The server's certificate, PEM, and behind it those that lead up to its authority; with it the
    /// server speaks TLS, HTTP/1.1 and HTTP/2. Read anew on SIGHUP and when it changes
    #[arg(long, env = "DATAAPI_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// The certificate's private key, PEM
    #[arg(long, env = "DATAAPI_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// Serve only clients with a certificate of one of these authorities, PEM (mTLS); keys are needed
    /// all the same
    #[arg(
        long,
        env = "DATAAPI_TLS_CLIENT_AUTHORITIES",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    tls_client_authorities: Option<PathBuf>,

    /// Listen on an address that others reach, although nothing hides keys and dialogs on their way
    #[arg(long, env = "DATAAPI_INSECURE_PLAINTEXT")]
    insecure_plaintext: bool,

    /// The store: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, created if it is not there, or
    /// `memory:`; rather not with a password here, where other users see it, but in the environment
    #[arg(
        long,
        env = "DATAAPI_STORE",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:./dialogs.db"
    )]
    store: StoreUrl,

    /// How many connections there are at most; others wait until one ends
    #[arg(
        long,
        env = "DATAAPI_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = Config::default().max_connections,
        value_parser = at_least_one,
    )]
    max_connections: usize,

    /// How many requests for data are answered at once at most; others are told to come back (503)
    #[arg(
        long,
        env = "DATAAPI_MAX_IN_FLIGHT",
        value_name = "N",
        default_value_t = Config::default().max_in_flight,
        value_parser = at_least_one,
    )]
    max_in_flight: usize,

    /// How long a connection may take to send the head of a request, be idle before it, or agree on
    /// TLS
    #[arg(
        long,
        env = "DATAAPI_HEAD_TIMEOUT",
        value_name = "TIME",
        default_value = "1m",
        value_parser = some_time,
    )]
    head_timeout: Duration,

    /// How long a request may take to send its body
    #[arg(
        long,
        env = "DATAAPI_BODY_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = some_time,
    )]
    body_timeout: Duration,

    /// How long a client may take nothing of its answer before it is cut
    #[arg(
        long,
        env = "DATAAPI_WRITE_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = some_time,
    )]
    write_timeout: Duration,

    /// How long a request may take in all, its body included
    #[arg(
        long,
        env = "DATAAPI_ANSWER_TIMEOUT",
        value_name = "TIME",
        default_value = "1m",
        value_parser = some_time,
    )]
    answer_timeout: Duration,

    /// How many bytes of bodies and answers are held in memory at once at most; more are told to come
    /// back (503)
    #[arg(
        long,
        env = "DATAAPI_MAX_BUFFERED_BYTES",
        value_name = "BYTES",
        default_value_t = Config::default().max_buffered_bytes,
        value_parser = at_least_one,
    )]
    max_buffered_bytes: usize,

    /// Take requests of web pages of this origin, a scheme and a host without a path; may be given
    /// several times. Left out, only those of this server's own pages are taken
    #[arg(
        long,
        env = "DATAAPI_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    cors_origin: Vec<HeaderValue>,

    /// How many requests each key may make a second; more are told to come back (429) [default: any
    /// number]
    #[arg(long, env = "DATAAPI_MAX_RATE", value_name = "N")]
    max_rate: Option<NonZeroU32>,

    /// Take tokens (JWT) of an identity provider beside keys: its keys, a JWK set in a file or at an
    /// https: URL
    #[arg(
        long,
        env = "DATAAPI_JWT_KEYS",
        value_name = "FILE|URL",
        requires = "jwt_issuer",
        requires = "jwt_audience"
    )]
    jwt_keys: Option<JwksSource>,

    /// What the claim 'iss' of a token must be
    #[arg(long, env = "DATAAPI_JWT_ISSUER", value_name = "NAME", requires = "jwt_keys")]
    jwt_issuer: Option<String>,

    /// What the claim 'aud' of a token must be, or hold
    #[arg(long, env = "DATAAPI_JWT_AUDIENCE", value_name = "NAME", requires = "jwt_keys")]
    jwt_audience: Option<String>,

    /// Which claim of a token names its roles; where it lies within others, with dots between
    #[arg(
        long,
        env = "DATAAPI_JWT_ROLES_CLAIM",
        value_name = "CLAIM",
        default_value = "roles",
        requires = "jwt_keys"
    )]
    jwt_roles_claim: String,

    /// What a name in that claim allows, such as 'analysts=read'; may be given several times. Left out,
    /// roles go by their own names
    #[arg(
        long,
        env = "DATAAPI_JWT_ROLE",
        value_name = "NAME=ROLES",
        value_delimiter = ';',
        value_parser = named_roles,
        requires = "jwt_keys"
    )]
    jwt_role: Vec<(String, Roles)>,

    /// By how much the clocks of this machine and of the identity provider may differ
    #[arg(
        long,
        env = "DATAAPI_JWT_LEEWAY",
        value_name = "TIME",
        default_value = "1m",
        value_parser = humantime::parse_duration,
        requires = "jwt_keys"
    )]
    jwt_leeway: Duration,

    /// The most bytes that the text of a dialog may have
    #[arg(
        long,
        env = "DATAAPI_MAX_TEXT_BYTES",
        value_name = "BYTES",
        default_value_t = Text::DEFAULT_MAX_BYTES,
        value_parser = text_bytes,
    )]
    max_text_bytes: usize,

    /// A standby of the store in PostgreSQL that pages may come from, while it has all that was decided; may be
    /// given several times, or with commas between
    #[arg(
        long = "read-replica",
        env = "DATAAPI_READ_REPLICA",
        hide_env_values = true,
        value_name = "URL",
        value_delimiter = ','
    )]
    read_replicas: Vec<StoreUrl>,

    /// About how many bytes of the store are kept in memory for writes
    #[arg(long, env = "DATAAPI_STORE_CACHE_BYTES", value_name = "BYTES", default_value_t = 16 << 20)]
    store_cache_bytes: usize,

    /// How many bytes of newest pages are kept ready to be sent again, at most; 0 for none
    #[arg(
        long,
        env = "DATAAPI_PAGE_CACHE_BYTES",
        value_name = "BYTES",
        default_value_t = Config::default().page_cache_bytes,
    )]
    page_cache_bytes: usize,

    /// When a dialog is erased because its consent never came, such as '30d' or '12h', or 'never'
    #[arg(
        long,
        env = "DATAAPI_PURGE_PENDING_AFTER",
        value_name = "TIME",
        default_value = "30d",
        value_parser = retention,
    )]
    purge_pending_after: Retention,

    /// When a consented dialog is erased because it was kept for long enough, counted from when it was
    /// received, such as '365d', or 'never'
    #[arg(
        long,
        env = "DATAAPI_RETAIN_CONSENTED",
        value_name = "TIME",
        default_value = "never",
        value_parser = retention,
    )]
    retain_consented: Retention,

    /// When the tombstone of a withdrawn or erased dialog is forgotten, such as '3650d', or 'never'. A
    /// retry or an import of the same id that comes after that brings its text back, as pending
    #[arg(
        long,
        env = "DATAAPI_RETAIN_TOMBSTONES",
        value_name = "TIME",
        default_value = "never",
        value_parser = retention,
    )]
    retain_tombstones: Retention,

    /// Hold decisions on dialogs that were not received yet: a yes for that time, such as '15m', a no
    /// for ever; left out, they are refused
    #[arg(
        long,
        env = "DATAAPI_HOLD_EARLY_DECISIONS",
        value_name = "TIME",
        value_parser = some_time,
    )]
    hold_early_decisions: Option<Duration>,

    /// The erasure delay: how long after a withdrawal or an erasure its bytes may be in a file of the
    /// store, such as '1s'; '0s' for at once
    #[arg(
        long,
        env = "DATAAPI_ERASE_WITHIN",
        value_name = "TIME",
        default_value = "1s",
        value_parser = humantime::parse_duration,
    )]
    erase_within: Duration,

    /// A file to which is added, as JSON Lines, who asked for what: the name of the key, the route, the
    /// status, and keyed hashes in place of ids
    #[arg(long, env = "DATAAPI_ACCESS_LOG", value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// How the log on standard error and the start line on standard output are written
    #[arg(long, env = "DATAAPI_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,

    /// What is logged: 'error', 'warn', 'info', 'debug' (each request), or by module
    #[arg(long, env = "DATAAPI_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

/// How long a dialog is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Retention(Option<Duration>);

/// The URL of a store, which may hold a password.
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

/// Without the password.
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

/// What the arguments and the environment come to: all that the program goes by.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
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

/// Arguments that are fine each by itself, but not to be served with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error(
        "refusing to listen on {0}: the store has no keys and no tokens are taken, so anyone who reaches that address could \
         read the dialogs. Make a key with 'dataapi key create', or listen on loopback (such as \
         --listen 127.0.0.1:{port})",
        port = .0.port()
    )]
    OpenToTheNetwork(SocketAddr),

    #[error(
        "refusing to listen on {0} without TLS: keys and dialogs could be read on their way. Give \
         --tls-certificate and --tls-key, listen on loopback (such as --listen 127.0.0.1:{port}) \
         behind a reverse proxy that speaks TLS, or take it upon you with --insecure-plaintext",
        port = .0.port()
    )]
    Plaintext(SocketAddr),

    #[error("--log is not a filter such as 'info' or 'dataapi_server=debug'")]
    Log,
}

impl Args {
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
            head_timeout: self.head_timeout,
            body_timeout: self.body_timeout,
            write_timeout: self.write_timeout,
            answer_timeout: self.answer_timeout,
            max_buffered_bytes: self.max_buffered_bytes,
            cors_origins: self.cors_origin,
            max_rate: self.max_rate,
            tokens,
            page_cache_bytes: self.page_cache_bytes,
            purge_pending_after: self.purge_pending_after.0,
            retain_consented: self.retain_consented.0,
            retain_tombstones: self.retain_tombstones.0,
            hold_early_decisions: self.hold_early_decisions,
            log_access: self.access_log.is_some(),
            erase_within: self.erase_within,
            ..Config::default()
        };
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

/// Whether a store may be served on that address.
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

/// RFC 6454, section 6.2: a scheme, a host, and a port that is not the scheme's own.
fn origin(value: &str) -> Result<HeaderValue, String> {
    let wrong = "must be such as 'https://console.example', without a path";
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
    let (name, roles) = value.split_once('=').ok_or("must be a name, '=' and its roles")?;
    let roles = roles.parse().map_err(|error: dataapi_core::Invalid| error.to_string())?;
    Ok((name.to_owned(), roles))
}

fn at_least_one(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("must be a whole number from 1 on".to_owned()),
    }
}

fn text_bytes(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(bytes) if (1..=TEXT_BYTES_CEILING).contains(&bytes) => Ok(bytes),
        _ => Err(format!("must be 1 to {TEXT_BYTES_CEILING}")),
    }
}

fn retention(value: &str) -> Result<Retention, String> {
    if value == "never" {
        return Ok(Retention(None));
    }
    match humantime::parse_duration(value) {
        Ok(after) if !after.is_zero() => Ok(Retention(Some(after))),
        _ => Err("must be a time such as '30d' or '12h', or 'never'".to_owned()),
    }
}

fn some_time(value: &str) -> Result<Duration, String> {
    match humantime::parse_duration(value) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err("must be a time such as '15m' or '30s'".to_owned()),
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
            ["--body-timeout", "30"],
            ["--max-buffered-bytes", "0"],
            ["--cors-origin", "*"],
            ["--cors-origin", "console.example"],
            ["--cors-origin", "https://console.example/"],
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
        ] {
            let parsed = Args::try_parse_from(["dataapi-server", args[0], args[1]]);
            assert!(parsed.is_err(), "{args:?}");
        }
        assert!(matches!(resolve(&["--log", "a=b=c"]), Err(ArgsError::Log)));
    }

    #[test]
    fn a_retention_is_a_time_or_never() {
        let after = |value| retention(value).map(|Retention(after)| after);
        assert_eq!(after("30d"), Ok(Some(Duration::from_hours(30 * 24))));
        assert_eq!(after("1h 30m"), Ok(Some(Duration::from_mins(90))));
        assert_eq!(after("never"), Ok(None));
    }
}

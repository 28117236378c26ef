//! Tokens of an identity provider: JWTs (RFC 7519), checked against the provider's keys in memory.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dataapi_core::{Date, Grant, Invalid, Roles};
use http::Uri;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rustls::crypto::aws_lc_rs;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::problem::Problem;

/// How often the provider's keys are read again.
const PERIOD: Duration = Duration::from_mins(5);

/// How soon they are at the earliest, when a token names a key that is not known.
const EARLIEST: Duration = Duration::from_secs(10);

/// For how long they are trusted when they cannot be read again: the provider may have withdrawn one.
const LONGEST: Duration = Duration::from_hours(1);

/// The longest list of keys, in bytes.
const LARGEST: u64 = 1 << 20;

/// How many verified tokens are remembered.
const REMEMBERED: usize = 1_024;

/// The longest name of a subject.
const LONGEST_SUBJECT: usize = 128;

/// Which tokens are taken, and what they allow.
///
/// The signature must be by one of the provider's keys, with an algorithm that the key itself is for:
/// RSA, RSA-PSS, ECDSA on P-256 or P-384, or Ed25519. Symmetric keys and `none` are never taken (RFC 8725,
/// section 3). `exp`, `iss` and `aud` must be there.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// Where the provider's keys are.
    pub keys: JwksSource,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be or hold.
    pub audience: String,
    /// The claim that names the roles, a string or an array of strings; where it lies within others, with
    /// dots between, as in `realm_access.roles`. A string may name several, with spaces between.
    pub roles_claim: String,
    /// What each name in the claim allows; names that are not here allow nothing.
    pub roles: BTreeMap<String, Roles>,
    /// By how much the clocks of server and provider may differ.
    pub leeway: Duration,
}

impl TokenOptions {
    /// What is usual: the roles by their own names in the claim `roles`, and a minute between the clocks.
    pub fn new(keys: JwksSource, issuer: String, audience: String) -> Self {
        let named = dataapi_core::Role::ALL.into_iter().map(dataapi_core::Role::name);
        let roles = named.filter_map(|name| Some((name.to_owned(), name.parse().ok()?))).collect();
        let (roles_claim, leeway) = ("roles".to_owned(), Duration::from_mins(1));
        Self { keys, issuer, audience, roles_claim, roles, leeway }
    }
}

/// Where a provider's keys are, a JWK set (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// In a file, read again every few minutes.
    File(PathBuf),
    /// At an `https:` URL, or on this machine an `http:` one.
    Url(String),
}

impl std::str::FromStr for JwksSource {
    type Err = Invalid;

    fn from_str(source: &str) -> Result<Self, Invalid> {
        if !source.contains("://") {
            return Ok(Self::File(source.into()));
        }
        let wrong = || Invalid::new("jwks", "must be a file or an https: URL");
        let uri: Uri = source.parse().map_err(|_| wrong())?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), _) => Ok(Self::Url(source.to_owned())),
            // Anyone who can answer instead of the provider could let in anyone.
            (Some("http"), Some("127.0.0.1" | "localhost" | "[::1]")) => {
                Ok(Self::Url(source.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

/// Whom a token is of, and what it allows.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) subject: Arc<str>,
    /// `None` where it names no role that is known.
    pub(crate) grant: Option<Grant>,
    until: Date,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The provider's keys are not known, or not of late.
    NoKeys,
    /// It is not a good one; the reason is for the log.
    Refused(&'static str),
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::NoKeys => {
                let cause = "the identity provider's keys cannot be read";
                Self::unavailable(cause, Duration::from_secs(10))
            }
            TokenError::Refused(cause) => Self::token_refused(cause),
        }
    }
}

/// The provider's keys, and what was verified with them.
#[derive(Debug)]
pub(crate) struct Tokens {
    options: TokenOptions,
    known: RwLock<ProviderKeys>,
    unknown_key: Notify,
}

#[derive(Debug, Default)]
struct ProviderKeys {
    keys: Vec<ProviderKey>,
    read: Option<Instant>,
    verified: HashMap<blake3::Hash, Verified>,
}

#[derive(Debug)]
struct ProviderKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Tokens {
    pub(crate) fn new(options: TokenOptions) -> Self {
        Self { options, known: RwLock::default(), unknown_key: Notify::new() }
    }

    /// Checks a token; one that was checked before is not checked again until it ends.
    pub(crate) fn check(&self, token: &str, now: Date) -> Result<Verified, TokenError> {
        let hash = blake3::hash(token.as_bytes());
        let (verified, read) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if known.read.is_none_or(|read| read.elapsed() > LONGEST) {
                return Err(TokenError::NoKeys);
            }
            match known.verified.get(&hash) {
                Some(verified) if now < verified.until => return Ok(verified.clone()),
                Some(_) => return Err(TokenError::Refused("it has expired")),
                None => (self.verify(token, &known.keys)?, known.read),
            }
        };
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.verified.len() >= REMEMBERED {
            known.verified.clear();
        }
        // What was verified with keys that are gone meanwhile is good for this once.
        if known.read == read {
            known.verified.insert(hash, verified.clone());
        }
        Ok(verified)
    }

    fn verify(&self, token: &str, keys: &[ProviderKey]) -> Result<Verified, TokenError> {
        let header = decode_header(token).map_err(|error| refused(error.kind()))?;
        if header.crit.is_some() {
            return Err(TokenError::Refused("it asks for what is not understood"));
        }
        let wanted = |key: &&ProviderKey| header.kid.is_none() || key.id == header.kid;
        let mut fitting = keys.iter().filter(wanted);
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            self.unknown_key.notify_one();
            return Err(TokenError::Refused("its key is not one of the provider's"));
        };
        let mut validation = Validation::new(Algorithm::RS256);
        // By the key, not by what the token says of itself.
        validation.algorithms.clone_from(&key.algorithms);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_audience(&[&self.options.audience]);
        validation.validate_nbf = true;
        validation.leeway = self.options.leeway.as_secs();
        let claims = decode::<Map<String, Value>>(token, &key.key, &validation)
            .map_err(|error| refused(error.kind()))?
            .claims;
        let end = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        let end = Duration::try_from_secs_f64(end.max(0.0)).unwrap_or(Duration::MAX);
        let epoch = Date::from_micros(0).unwrap_or(Date::MIN);
        Ok(Verified {
            subject: subject(&claims).ok_or(TokenError::Refused("it names no subject"))?,
            grant: self.roles(&claims).map(Grant::from),
            until: epoch.saturating_add(end).saturating_add(self.options.leeway),
        })
    }

    /// All roles that the claim names.
    fn roles(&self, claims: &Map<String, Value>) -> Option<Roles> {
        let names: Vec<&str> = match claim(claims, &self.options.roles_claim)? {
            Value::String(names) => names.split(' ').collect(),
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let known = names.iter().filter_map(|name| self.options.roles.get(*name));
        Roles::from_bits(known.fold(0, |bits, roles| bits | roles.bits())).ok()
    }

    /// Reads the provider's keys for the first time.
    pub(crate) async fn load(&self) {
        if let Err(error) = self.read().await {
            tracing::warn!(error, "the identity provider's keys cannot be read; no token is taken");
        }
    }

    /// Keeps up with the provider. Runs until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            sleep(EARLIEST).await;
            if self.are_known() {
                // A provider that changes its keys signs with the new one at once.
                let _ = timeout(PERIOD, self.unknown_key.notified()).await;
            }
            if let Err(error) = self.read().await {
                tracing::warn!(error, "the identity provider's keys cannot be read");
            }
        }
    }

    fn are_known(&self) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).read.is_some()
    }

    async fn read(&self) -> Result<(), String> {
        let source = self.options.keys.clone();
        let read = tokio::task::spawn_blocking(move || fetch(&source)).await;
        let keys = parse(&read.map_err(|error| error.to_string())??)?;
        let known = ProviderKeys { keys, read: Some(Instant::now()), verified: HashMap::new() };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

/// Reads a provider's list of keys.
fn fetch(source: &JwksSource) -> Result<Vec<u8>, String> {
    let url = match source {
        JwksSource::File(path) => return std::fs::read(path).map_err(|error| error.to_string()),
        JwksSource::Url(url) => url,
    };
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .https_only(url.starts_with("https:"))
        .max_redirects(0)
        .timeout_global(Some(EARLIEST))
        .build()
        .into();
    let mut answer = agent.get(url).call().map_err(|error| error.to_string())?;
    let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
    body.map_err(|error| error.to_string())
}

/// Takes the keys out of a list that can verify; others may be in it.
fn parse(list: &[u8]) -> Result<Vec<ProviderKey>, String> {
    #[derive(Deserialize)]
    struct List {
        keys: Vec<Value>,
    }

    let list: List = serde_json::from_slice(list).map_err(|_| "it is no list of keys")?;
    let usable = list.keys.into_iter().filter_map(|key| {
        let key: Jwk = serde_json::from_value(key).ok()?;
        let algorithms = algorithms(&key);
        if algorithms.is_empty() {
            return None;
        }
        let id = key.common.key_id.clone();
        Some(ProviderKey { id, algorithms, key: DecodingKey::from_jwk(&key).ok()? })
    });
    let keys: Vec<_> = usable.collect();
    if keys.is_empty() { Err("no key in it can verify a token".to_owned()) } else { Ok(keys) }
}

/// What a key verifies: never a symmetric algorithm, whose key would have to be a secret.
fn algorithms(key: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};

    if !matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return Vec::new();
    }
    let possible: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    };
    match key.common.key_algorithm {
        None => possible.to_vec(),
        Some(given) => {
            let given = Algorithm::try_from(given).ok();
            possible.iter().copied().filter(|it| Some(*it) == given).collect()
        }
    }
}

/// A claim by its name, or by its way through others.
fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(found) = claims.get(name) {
        return Some(found);
    }
    let (outer, rest) = name.split_once('.')?;
    claim(claims.get(outer)?.as_object()?, rest)
}

/// Whom it is of, as the log names them.
fn subject(claims: &Map<String, Value>) -> Option<Arc<str>> {
    let subject = claims.get("sub")?.as_str()?;
    let fits = (1..=LONGEST_SUBJECT).contains(&subject.len());
    (fits && !subject.chars().any(char::is_control)).then(|| subject.into())
}

/// In words of our own: the library's may quote the token.
fn refused(kind: &ErrorKind) -> TokenError {
    TokenError::Refused(match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidAlgorithm => "its algorithm is not its key's",
        ErrorKind::MissingRequiredClaim(_) => "it lacks a claim",
        _ => "it is not well formed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_files_over_tls_or_from_this_machine() {
        let source = |source: &str| source.parse::<JwksSource>();
        assert_eq!(source("keys.json"), Ok(JwksSource::File("keys.json".into())));
        for url in ["https://id.example/keys", "http://localhost:1/k", "http://[::1]/k"] {
            assert_eq!(source(url), Ok(JwksSource::Url(url.to_owned())));
        }
        for url in [
            "http://id.example/keys",
            "http://localhost:1@id.example/",
            "http://127.0.0.1@id.example",
            "http://localhost.id.example/",
            "ftp://localhost/",
            "https://",
            "://localhost",
        ] {
            assert!(source(url).is_err(), "{url}");
        }
    }
}

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

/// How often the provider's keys are read.
const PERIOD: Duration = Duration::from_secs(5 * 60);

/// The minimum time between two reads, when a token names an unknown key.
const EARLIEST: Duration = Duration::from_secs(10);

/// How long the keys are trusted if they cannot be read again: the provider might have revoked one.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The maximum size of the list of keys, in bytes.
const LARGEST: u64 = 1 << 20;

/// The maximum number of verified tokens in memory.
const REMEMBERED: usize = 1_024;

/// The maximum length of a subject's name, in bytes.
const LONGEST_SUBJECT: usize = 128;

/// Which tokens are accepted, and what they allow.
///
/// The signature must be by one of the provider's keys, with an algorithm for that kind of key: RSA, RSA-PSS, ECDSA on
/// P-256 or P-384, or Ed25519. Symmetric keys and `none` are never accepted (RFC 8725, section 3). A token needs the
/// claims `exp`, `iss`, `aud` and `sub`. Its header must have the type `at+jwt` (RFC 9068) or `JWT`, or none.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// Where the provider's keys are.
    pub keys: JwksSource,
    /// The required value of `iss`.
    pub issuer: String,
    /// What `aud` must be or contain.
    pub audience: String,
    /// The claim that names the roles: an array of strings, or a string with spaces between the names. A nested claim
    /// is written with dots, as in `realm_access.roles`. A token in which that can be read in two ways is refused.
    pub roles_claim: String,
    /// The roles that each name in the claim grants. Other names grant nothing.
    pub roles: BTreeMap<String, Roles>,
    /// How far the clocks of the server and of the provider can differ.
    pub leeway: Duration,
}

impl TokenOptions {
    /// Options with the defaults: the claim `roles` has the names of the roles, and the clocks can differ by a minute.
    pub fn new(keys: JwksSource, issuer: String, audience: String) -> Self {
        let named = dataapi_core::Role::ALL.into_iter().map(dataapi_core::Role::name);
        let roles = named.filter_map(|name| Some((name.to_owned(), name.parse().ok()?))).collect();
        let (roles_claim, leeway) = ("roles".to_owned(), Duration::from_secs(60));
        Self { keys, issuer, audience, roles_claim, roles, leeway }
    }
}

/// Where a provider's keys are: a JWK set (RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// In a file, which is read every 5 minutes.
    File(PathBuf),
    /// At an `https:` URL. An `http:` URL must be on this machine.
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
            // Without TLS, an attacker who answers in place of the provider could let in anyone.
            (Some("http"), Some("127.0.0.1" | "localhost" | "[::1]")) => {
                Ok(Self::Url(source.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

/// The subject of a valid token, and what it allows.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) subject: Arc<str>,
    /// `None` if the token names no known role.
    pub(crate) grant: Option<Grant>,
    until: Date,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// The provider's keys were not read, or not lately.
    NoKeys,
    /// The token is not valid. The reason goes to the log only.
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

/// The provider's keys, and the tokens that were verified with them.
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

    /// Checks a token. A valid token is remembered until it expires and not verified again.
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
        // If the keys were replaced meanwhile, the token is valid for this request only.
        if known.read == read {
            known.verified.insert(hash, verified.clone());
        }
        Ok(verified)
    }

    fn verify(&self, token: &str, keys: &[ProviderKey]) -> Result<Verified, TokenError> {
        let header = decode_header(token).map_err(|error| refused(error.kind()))?;
        if !is_access_token(header.typ.as_deref()) {
            return Err(TokenError::Refused("it is of another type than an access token"));
        }
        if header.crit.is_some() {
            return Err(TokenError::Refused("it has a critical header that is not supported"));
        }
        let wanted = |key: &&ProviderKey| header.kid.is_none() || key.id == header.kid;
        let mut fitting = keys.iter().filter(wanted);
        let (Some(key), None) = (fitting.next(), fitting.next()) else {
            self.unknown_key.notify_one();
            return Err(TokenError::Refused("it is not signed by one of the provider's keys"));
        };
        let mut validation = Validation::new(Algorithm::RS256);
        // The key decides which algorithms are valid, not the token.
        validation.algorithms.clone_from(&key.algorithms);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_audience(&[&self.options.audience]);
        validation.validate_nbf = true;
        validation.leeway = self.options.leeway.as_secs();
        let claims = decode::<Map<String, Value>>(token, &key.key, &validation)
            .map_err(|error| refused(error.kind()))?
            .claims;
        // A list of issuers would pass above if the right one is in it (RFC 7519, section 4.1.1, allows none).
        if claims.get("iss").and_then(Value::as_str) != Some(&*self.options.issuer) {
            return Err(TokenError::Refused("it is from another issuer"));
        }
        let end = claims.get("exp").and_then(Value::as_f64).unwrap_or_default();
        let end = Duration::try_from_secs_f64(end.max(0.0)).unwrap_or(Duration::MAX);
        let epoch = Date::from_micros(0).unwrap_or(Date::MIN);
        Ok(Verified {
            subject: subject(&claims).ok_or(TokenError::Refused("it names no valid subject"))?,
            grant: self.roles(&claims)?.map(Grant::from),
            until: epoch.saturating_add(end).saturating_add(self.options.leeway),
        })
    }

    /// Returns all roles that the claim names; `None` if it names none.
    fn roles(&self, claims: &Map<String, Value>) -> Result<Option<Roles>, TokenError> {
        let mut found = claims_named(claims, &self.options.roles_claim);
        let (claim, None) = (found.pop(), found.pop()) else {
            return Err(TokenError::Refused("its claim with the roles can be read in two ways"));
        };
        let names: Vec<&str> = match claim {
            Some(Value::String(names)) => names.split(' ').collect(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return Ok(None),
        };
        let known = names.iter().filter_map(|name| self.options.roles.get(*name));
        Ok(Roles::from_bits(known.fold(0, |bits, roles| bits | roles.bits())).ok())
    }

    /// Reads the provider's keys for the first time.
    pub(crate) async fn load(&self) {
        if let Err(error) = self.read().await {
            tracing::warn!(
                error,
                "the identity provider's keys cannot be read; every token is refused"
            );
        }
    }

    /// Follows the provider's keys. Runs until it is dropped.
    pub(crate) async fn run(&self) {
        loop {
            sleep(EARLIEST).await;
            if self.are_known() {
                // A provider that replaces its key signs with the new one at once.
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
    // Some messages quote the URL.
    let shown = |error: ureq::Error| error.to_string().replace(url, &dataapi::redacted(url));
    let mut answer = agent.get(url).call().map_err(shown)?;
    let body = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
    body.map_err(|error| error.to_string())
}

/// Returns the keys in a list that can verify tokens, and ignores the others.
fn parse(list: &[u8]) -> Result<Vec<ProviderKey>, String> {
    #[derive(Deserialize)]
    struct List {
        keys: Vec<Value>,
    }

    let list: List = serde_json::from_slice(list).map_err(|_| "it is not a list of keys")?;
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
    if keys.is_empty() { Err("it has no key that can verify a token".to_owned()) } else { Ok(keys) }
}

/// Returns the algorithms of a key. Symmetric ones are left out: their key would have to be secret.
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

/// Whether a token is meant to give access, as far as its header says: by RFC 9068 the type is `at+jwt`, and many
/// providers say `JWT` or nothing. Other types are for other uses, such as `logout+jwt` and `dpop+jwt` (RFC 8725,
/// section 3.11).
fn is_access_token(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return true };
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "jwt" | "at+jwt")
}

/// Finds a claim by its name, in which a dot is part of the name or leads into a nested claim. Returns what each way to
/// read the name finds: a provider that lets its users add claims must not let them hide the right one.
fn claims_named<'c>(claims: &'c Map<String, Value>, name: &str) -> Vec<&'c Value> {
    let mut found: Vec<_> = claims.get(name).into_iter().collect();
    for (dot, _) in name.match_indices('.') {
        if let Some(Value::Object(inner)) = claims.get(&name[..dot]) {
            found.extend(claims_named(inner, &name[dot + 1..]));
        }
    }
    found
}

/// Returns the subject of a token, if its name is fit for a log.
fn subject(claims: &Map<String, Value>) -> Option<Arc<str>> {
    let subject = claims.get("sub")?.as_str()?;
    let fits = (1..=LONGEST_SUBJECT).contains(&subject.len());
    (fits && !subject.chars().any(char::is_control)).then(|| subject.into())
}

/// Describes an error in fixed words, because the library's message can quote the token.
fn refused(kind: &ErrorKind) -> TokenError {
    TokenError::Refused(match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidSignature => "its signature is wrong",
        ErrorKind::InvalidIssuer => "it is from another issuer",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidAlgorithm => "its algorithm does not match its key",
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

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
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::SystemTime;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::KeyPair;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example/";

    /// A key of the identity provider, for ECDSA on P-256.
    struct Signer {
        id: &'static str,
        secret: EncodingKey,
        public: Value,
    }

    impl Signer {
        fn new(id: &'static str) -> Self {
            let pair = KeyPair::generate().expect("a key");
            let secret = EncodingKey::from_ec_der(&pair.serialize_der());
            // An uncompressed point: both of its halves after a 4.
            let (x, y) = pair.public_key_raw()[1..].split_at(32);
            let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
            let public = json!({"kty": "EC", "crv": "P-256", "kid": id, "x": x, "y": y});
            Self { id, secret, public }
        }

        fn sign(&self, claims: &Value) -> String {
            let header = Header { kid: Some(self.id.to_owned()), ..Header::new(Algorithm::ES256) };
            encode(&header, claims, &self.secret).expect("a token")
        }
    }

    fn list(signers: &[&Signer]) -> Vec<u8> {
        let keys: Vec<_> = signers.iter().map(|signer| &signer.public).collect();
        json!({ "keys": keys }).to_string().into_bytes()
    }

    /// Tokens that are accepted if one of these keys has signed them, as if the list had just been read.
    fn tokens(signers: &[&Signer], change: impl FnOnce(&mut TokenOptions)) -> Tokens {
        let source = JwksSource::File("keys.json".into());
        let mut options = TokenOptions::new(source, ISSUER.to_owned(), "dataapi".to_owned());
        change(&mut options);
        let tokens = Tokens::new(options);
        let keys = parse(&list(signers)).expect("keys");
        let known = ProviderKeys { keys, read: Some(Instant::now()), verified: HashMap::new() };
        *tokens.known.write().expect("no panic") = known;
        tokens
    }

    /// Whole seconds since 1970.
    fn now() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs()
    }

    fn date(seconds: u64) -> Date {
        Date::from_micros(0).expect("a date").saturating_add(Duration::from_secs(seconds))
    }

    /// The claims of a valid token, replaced by those in `other`. Claims that it sets to null are left out.
    fn claims(other: Value) -> Value {
        let mut claims = json!({
            "iss": ISSUER, "aud": "dataapi", "sub": "anna", "roles": ["read"], "exp": now() + 600,
        });
        let whole = claims.as_object_mut().expect("an object");
        let Value::Object(other) = other else { panic!("an object") };
        whole.extend(other);
        whole.retain(|_, value| !value.is_null());
        claims
    }

    fn remembered(tokens: &Tokens) -> usize {
        tokens.known.read().expect("no panic").verified.len()
    }

    #[test]
    fn a_token_is_remembered_and_valid_until_it_expires() {
        let signer = Signer::new("one");
        let tokens = tokens(&[&signer], |options| options.leeway = Duration::from_secs(10));
        let end = now() + 100;
        let token = signer.sign(&claims(json!({"exp": end})));
        let until = date(end + 10);
        let before = until.saturating_sub(Duration::from_micros(1));
        for at in [date(now()), date(end), before] {
            let verified = tokens.check(&token, at).expect("it is valid");
            assert_eq!((&*verified.subject, verified.until), ("anna", until));
            assert_eq!(remembered(&tokens), 1);
        }
        for at in [until, until.saturating_add(Duration::from_secs(1))] {
            let expired = tokens.check(&token, at).map(|verified| verified.until);
            assert_eq!(expired, Err(TokenError::Refused("it has expired")));
        }
    }

    #[test]
    fn so_many_tokens_are_remembered_and_no_more() {
        let signer = Signer::new("one");
        let tokens = tokens(&[&signer], |_| {});
        for number in 0..=REMEMBERED {
            assert_eq!(remembered(&tokens), number);
            let token = signer.sign(&claims(json!({"sub": format!("user-{number}")})));
            let verified = tokens.check(&token, date(now())).expect("it is valid");
            assert_eq!(*verified.subject, format!("user-{number}"));
        }
        assert_eq!(remembered(&tokens), 1, "it begins again");
    }

    #[test]
    fn keys_that_were_not_read_for_an_hour_are_not_trusted() {
        let signer = Signer::new("one");
        let tokens = tokens(&[&signer], |_| {});
        let token = signer.sign(&claims(json!({})));
        let ago = |ago| {
            let read = Instant::now().checked_sub(ago).expect("a moment");
            tokens.known.write().expect("no panic").read = Some(read);
            tokens.check(&token, date(now())).map(drop)
        };
        for _ in 0..2 {
            assert_eq!(ago(Duration::from_secs(3_590)), Ok(()));
            assert_eq!(ago(Duration::from_secs(3_601)), Err(TokenError::NoKeys));
        }
        let never = Tokens::new(tokens.options.clone());
        assert_eq!(never.check(&token, date(now())).map(drop), Err(TokenError::NoKeys));
    }

    /// Operators read these in the log.
    #[test]
    fn each_reason_to_refuse_a_token_is_told_apart() {
        let (one, two, stranger) = (Signer::new("one"), Signer::new("two"), Signer::new("one"));
        let tokens = tokens(&[&one, &two], |_| {});
        let reason = |token: &str| match tokens.check(token, date(now())) {
            Err(TokenError::Refused(reason)) => reason,
            other => panic!("{other:?}"),
        };
        for (other, expected) in [
            (json!({"exp": now() - 90}), "it has expired"),
            (json!({"nbf": now() + 90}), "it is not valid yet"),
            (json!({"iss": "https://id.example"}), "it is from another issuer"),
            (json!({"iss": ["https://evil.example/", ISSUER]}), "it is from another issuer"),
            (json!({"aud": "other"}), "it is for another audience"),
            (json!({"exp": null}), "it lacks a claim"),
            (json!({"iss": null}), "it lacks a claim"),
            (json!({"sub": null}), "it names no valid subject"),
        ] {
            assert_eq!(reason(&one.sign(&claims(other.clone()))), expected, "{other}");
        }
        let good = one.sign(&claims(json!({})));
        assert!(tokens.check(&good, date(now())).is_ok());
        assert_eq!(reason(&stranger.sign(&claims(json!({})))), "its signature is wrong");
        assert_eq!(reason("no token"), "it is not well formed");
        let with_header = |header: Value| {
            let rest = good.split_once('.').expect("three parts").1;
            format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
        };
        let another = with_header(json!({"alg": "EdDSA", "kid": "one"}));
        assert_eq!(reason(&another), "its algorithm does not match its key");
        for header in [json!({"alg": "ES256"}), json!({"alg": "ES256", "kid": "three"})] {
            let unknown = "it is not signed by one of the provider's keys";
            assert_eq!(reason(&with_header(header)), unknown);
        }
        let other_type = with_header(json!({"alg": "ES256", "kid": "one", "typ": "logout+jwt"}));
        assert_eq!(reason(&other_type), "it is of another type than an access token");
    }

    #[test]
    fn a_subject_has_1_to_128_bytes_without_control_characters() {
        let named = |name: &Value| {
            let claims = json!({ "sub": name });
            subject(claims.as_object().expect("an object")).map(|subject| subject.to_string())
        };
        for name in ["a", "anna@example.com", &"x".repeat(128), &"é".repeat(64)] {
            assert_eq!(named(&json!(name)).as_deref(), Some(name));
        }
        for name in ["", "a\nb", "\u{7f}", &"x".repeat(129), &"é".repeat(65)] {
            assert_eq!(named(&json!(name)), None, "{name:?}");
        }
        assert_eq!(named(&json!(7)), None);
    }

    #[test]
    fn all_names_in_the_claim_grant_their_roles_together() {
        let signer = Signer::new("one");
        let roles = |names: &str| names.parse::<Roles>().expect("roles");
        let tokens = tokens(&[&signer], |options| {
            options.roles_claim = "realm.roles".to_owned();
            options.roles = [("a", "read,consent"), ("b", "read"), ("c", "ingest")]
                .map(|(name, granted)| (name.to_owned(), roles(granted)))
                .into();
        });
        let granted = |realm: Value| {
            let token = signer.sign(&claims(json!({ "realm": realm })));
            let verified = tokens.check(&token, date(now())).expect("it is valid");
            verified.grant.map(|grant| grant.roles())
        };
        for (names, expected) in [
            (json!(["a"]), Some("read,consent")),
            (json!(["a", "b"]), Some("read,consent")),
            (json!("b b"), Some("read")),
            (json!("b other c"), Some("read,ingest")),
            (json!(["other", 7]), None),
            (json!([]), None),
            (json!(7), None),
            (json!(null), None),
        ] {
            let found = granted(json!({"roles": names, "more": ["a"]}));
            assert_eq!(found, expected.map(roles), "{names}");
        }
        let both = json!({"realm": {"roles": ["a"]}, "realm.roles": ["a"]});
        let refused = tokens.check(&signer.sign(&claims(both)), date(now())).map(drop);
        let reason = "its claim with the roles can be read in two ways";
        assert_eq!(refused, Err(TokenError::Refused(reason)));
    }

    #[test]
    fn a_key_verifies_with_the_algorithms_of_its_kind_and_use() {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};

        let rsa = [RS256, RS384, RS512, PS256, PS384, PS512];
        let with = |kind: &Value, more: Value| {
            let (mut key, Value::Object(more)) = (kind.clone(), more) else { panic!("an object") };
            key.as_object_mut().expect("an object").extend(more);
            algorithms(&serde_json::from_value(key).expect("a key"))
        };
        let of = |kind: Value, possible: &[Algorithm]| {
            assert_eq!(with(&kind, json!({})), possible, "{kind}");
            assert_eq!(with(&kind, json!({"use": "sig"})), possible, "{kind}");
            assert_eq!(with(&kind, json!({"use": "enc"})), [], "{kind}");
            for (name, algorithm) in [
                ("RS256", RS256),
                ("RS384", RS384),
                ("RS512", RS512),
                ("PS256", PS256),
                ("PS384", PS384),
                ("PS512", PS512),
                ("ES256", ES256),
                ("ES384", ES384),
                ("EdDSA", EdDSA),
            ] {
                let one = if possible.contains(&algorithm) { &[algorithm][..] } else { &[] };
                assert_eq!(with(&kind, json!({"alg": name})), one, "{kind}, {name}");
            }
            for other in ["HS256", "RSA-OAEP"] {
                assert_eq!(with(&kind, json!({"alg": other})), [], "{kind}, {other}");
            }
        };
        of(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), &rsa);
        of(json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), &[ES256]);
        of(json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}), &[ES384]);
        of(json!({"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}), &[]);
        of(json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"}), &[EdDSA]);
        of(json!({"kty": "OKP", "crv": "P-256", "x": "AA"}), &[]);
        of(json!({"kty": "oct", "k": "AA"}), &[]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_providers_list_is_read_every_5_minutes_and_sooner_for_an_unknown_key() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("keys.json");
        let source = JwksSource::File(file.clone());
        let options = TokenOptions::new(source, ISSUER.to_owned(), "dataapi".to_owned());
        let tokens = Arc::new(Tokens::new(options.clone()));
        tokens.load().await;
        let follower = Arc::clone(&tokens);
        let following = tokio::spawn(async move { follower.run().await });
        let has = |signer: &Signer| {
            let known = tokens.known.read().expect("no panic");
            known.keys.iter().any(|key| key.id.as_deref() == Some(signer.id))
        };
        let after = async |seconds| sleep(Duration::from_secs(seconds)).await;
        after(15).await;
        assert!(!has(&old));
        std::fs::write(&file, list(&[&old])).expect("a file");
        after(10).await;
        assert!(has(&old), "what cannot be read is tried again after 10 seconds");
        std::fs::write(&file, list(&[&new])).expect("a file");
        after(290).await;
        assert!(has(&old) && !has(&new), "the list is not read all the time");
        after(30).await;
        assert!(has(&new) && !has(&old));
        std::fs::write(&file, list(&[&old])).expect("a file");
        let unknown = tokens.check(&old.sign(&claims(json!({}))), date(now()));
        assert!(unknown.is_err());
        after(15).await;
        assert!(has(&old) && !following.is_finished());
        following.abort();
        let restarted = Tokens::new(options);
        restarted.load().await;
        assert!(restarted.are_known(), "a server reads the list before it answers");
    }

    #[test]
    fn a_list_is_read_from_a_url_unless_it_is_longer_than_1_mib() {
        let served = |bytes: usize| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let address = listener.local_addr().expect("an address");
            let provider = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                let request = BufReader::new(&stream).lines().map_while(Result::ok);
                let _lines = request.take_while(|line| !line.is_empty()).count();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
                // A reader who has seen enough hangs up.
                let _ = stream.write_all(&[head.into_bytes(), vec![b' '; bytes]].concat());
            });
            let read = fetch(&JwksSource::Url(format!("http://{address}/keys")));
            // It might not have been asked.
            drop(TcpStream::connect(address));
            provider.join().expect("no panic");
            read.map(|list| list.len())
        };
        for bytes in [0, 1, (1 << 20) - 1] {
            assert_eq!(served(bytes), Ok(bytes));
        }
        assert!(served((1 << 20) + 1).is_err());
    }

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

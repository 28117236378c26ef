//! Tokens of an identity provider: which are accepted, what they allow, and how the server follows the provider's keys.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dataapi_server::{Config, TokenOptions};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Answer, Server, ask, memory};

const ISSUER: &str = "https://id.example/";
const AUDIENCE: &str = "dataapi";

/// A key of the identity provider.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    secret: EncodingKey,
    public: Jwk,
}

impl Key {
    fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let (kind, take): (_, fn(&[u8]) -> EncodingKey) = match algorithm {
            Algorithm::EdDSA => (&PKCS_ED25519, EncodingKey::from_ed_der),
            // Without the header of PKCS #8.
            Algorithm::RS256 => (&PKCS_RSA_SHA256, |der| EncodingKey::from_rsa_der(&der[26..])),
            _ => (&PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_der),
        };
        let pair = KeyPair::generate_for(kind).expect("a key");
        let secret = take(&pair.serialize_der());
        let raw = pair.public_key_raw();
        let public = match algorithm {
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": base64(raw)}),
            Algorithm::RS256 => {
                // RFC 8017, A.1.1: both numbers in DER, the first of 2048 bits after a zero byte.
                let (modulus, exponent) = (&raw[9..265], &raw[267..]);
                json!({"kty": "RSA", "n": base64(modulus), "e": base64(exponent)})
            }
            _ => {
                // An uncompressed point: both of its halves after a 4.
                let (x, y) = raw[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y)})
            }
        };
        let mut public: Jwk = serde_json::from_value(public).expect("a public key");
        public.common.key_id = Some(id.to_owned());
        Self { id, algorithm, secret, public }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(Some("JWT"), claims)
    }

    /// Signs a token whose header has this type.
    fn sign_as(&self, kind: Option<&str>, claims: &Value) -> String {
        let typ = kind.map(str::to_owned);
        let header = Header { kid: Some(self.id.to_owned()), typ, ..Header::new(self.algorithm) };
        encode(&header, claims, &self.secret).expect("a token")
    }
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_secs()).expect("a small number") + seconds
}

/// Returns the claims of a valid token of an analyst, replaced by those in `other`. Claims that it sets to null are
/// left out.
fn claims(other: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "anna@example.com", "roles": ["read"],
        "exp": seconds_from_now(600),
    });
    let whole = claims.as_object_mut().expect("an object");
    let Value::Object(other) = other else { panic!("an object") };
    whole.extend(other);
    whole.retain(|_, value| !value.is_null());
    claims
}

fn list(keys: &[&Jwk]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Starts a server that accepts tokens signed with the keys of a list.
async fn serve(list: &str, change: impl FnOnce(&mut TokenOptions)) -> (Server, NamedTempFile) {
    let file = NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), list).expect("a file");
    let keys = file.path().to_str().expect("UTF-8").parse().expect("a file");
    let mut tokens = TokenOptions::new(keys, ISSUER.to_owned(), AUDIENCE.to_owned());
    change(&mut tokens);
    let server = start(tokens).await;
    (server, file)
}

async fn start(tokens: TokenOptions) -> Server {
    Server::start(memory(), Config { tokens: Some(tokens), ..Config::default() }).await
}

async fn with(server: &Server, token: &str, method: &str, target: &str) -> Answer {
    let header = format!("authorization: Bearer {token}\r\n");
    ask(server.address, method, target, &header, b"").await
}

async fn status(server: &Server, token: &str) -> u16 {
    with(server, token, "GET", "/data/").await.status
}

#[tokio::test]
async fn a_good_token_allows_what_its_roles_do_and_no_more() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let key = Key::new("one", algorithm);
        let (server, _file) = serve(&list(&[&key.public]), |_| {}).await;
        assert_eq!(
            server.get("/data/").await.status,
            401,
            "a store without keys is closed if tokens are accepted"
        );
        let analyst = key.sign(&claims(json!({})));
        // The second time, the token is remembered.
        for _ in 0..2 {
            assert_eq!(status(&server, &analyst).await, 200);
            let refused = with(&server, &analyst, "DELETE", "/customers/anna").await;
            assert_eq!((refused.status, &*refused.problem()), (403, "role-missing"));
        }
        let operator = key.sign(&claims(json!({"roles": "ingest admin", "aud": ["x", AUDIENCE]})));
        assert_eq!(with(&server, &operator, "GET", "/metrics").await.status, 200);
        for roles in [json!([]), json!(["reader", "READ"]), json!(7), json!(null)] {
            let nobody = key.sign(&claims(json!({ "roles": roles })));
            assert_eq!(status(&server, &nobody).await, 403, "{roles}");
        }
    }
}

#[tokio::test]
async fn names_of_the_provider_are_given_roles_wherever_their_claim_lies() {
    let key = Key::new("one", Algorithm::ES256);
    let (server, _file) = serve(&list(&[&key.public]), |tokens| {
        tokens.roles_claim = "realm_access.roles".to_owned();
        tokens.roles = [("analysts".to_owned(), "read,subject".parse().expect("roles"))].into();
    })
    .await;
    let within = |names| key.sign(&claims(json!({"realm_access": {"roles": names}})));
    let analyst = within(json!(["staff", "analysts"]));
    assert_eq!(with(&server, &analyst, "DELETE", "/customers/anna").await.status, 200);
    assert_eq!(with(&server, &analyst, "GET", "/metrics").await.status, 403);
    assert_eq!(
        status(&server, &within(json!(["admin"]))).await,
        403,
        "only the configured names grant roles"
    );
    let at_once = key.sign(&claims(json!({"realm_access.roles": ["analysts"]})));
    assert_eq!(status(&server, &at_once).await, 200, "a claim's name can have dots");
    for nested in [json!([]), json!(["staff"]), json!(["analysts"]), json!(null)] {
        let both = json!({"realm_access.roles": ["analysts"], "realm_access": {"roles": nested}});
        let both = with(&server, &key.sign(&claims(both)), "GET", "/data/").await;
        assert_eq!((both.status, &*both.problem()), (401, "token-refused"), "{nested}: {both:?}");
    }
    let beside = json!({"realm_access.roles": ["analysts"], "realm_access": {"other": ["staff"]}});
    assert_eq!(status(&server, &key.sign(&claims(beside))).await, 200, "there is only one");

    let (server, _file) = serve(&list(&[&key.public]), |tokens| {
        tokens.roles_claim = "resource_access.my.client.roles".to_owned();
    })
    .await;
    let dotted = json!({"resource_access": {"my.client": {"roles": ["read"]}}});
    assert_eq!(status(&server, &key.sign(&claims(dotted))).await, 200, "so can an outer one's");
}

#[tokio::test]
async fn a_token_that_expires_gets_no_change_that_it_waited_for() {
    let key = Key::new("one", Algorithm::ES256);
    let no_leeway = |tokens: &mut TokenOptions| tokens.leeway = Duration::ZERO;
    let (server, _file) = serve(&list(&[&key.public]), no_leeway).await;
    let token = key.sign(&claims(json!({"exp": seconds_from_now(3)})));
    assert_eq!(status(&server, &token).await, 200);
    let started = Instant::now();
    let answer = with(&server, &token, "GET", "/changes?wait=60s").await;
    assert_eq!((answer.status, &*answer.problem()), (401, "token-refused"), "{answer:?}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_it_is_refused_and_not_repeated() {
    let (key, stranger) = (Key::new("one", Algorithm::ES256), Key::new("one", Algorithm::ES256));
    let (server, _file) = serve(&list(&[&key.public]), |_| {}).await;
    let good = key.sign(&claims(json!({})));
    let parts: Vec<_> = good.split('.').collect();
    let encoded = |value: Value| base64(value.to_string());
    let other = encoded(claims(json!({"roles": ["admin"]})));
    // The public key, as it is in the list, used as a shared secret.
    let public = serde_json::to_vec(&key.public).expect("JSON");
    let shared = EncodingKey::from_secret(&public);
    let symmetric = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
    let header = |algorithm: &str| encoded(json!({"alg": algorithm, "kid": "one", "typ": "JWT"}));
    let with_crit = Header {
        kid: Some("one".to_owned()),
        crit: Some(vec!["exp".to_owned()]),
        ..Header::new(Algorithm::ES256)
    };
    let mut tokens = vec![
        ("signed by another key", stranger.sign(&claims(json!({})))),
        ("with other claims", format!("{}.{other}.{}", parts[0], parts[2])),
        ("without a signature", format!("{}.{}.", parts[0], parts[1])),
        ("without an algorithm", format!("{}.{other}.", header("none"))),
        ("without an algorithm, signed", format!("{}.{}.{}", header("None"), parts[1], parts[2])),
        ("with another algorithm", format!("{}.{}.{}", header("RS256"), parts[1], parts[2])),
        ("with a public key for a secret", {
            encode(&symmetric, &claims(json!({})), &shared).expect("a token")
        }),
        ("with a critical header", {
            encode(&with_crit, &claims(json!({})), &key.secret).expect("a token")
        }),
        ("cut", good[..good.len() - 2].to_owned()),
        ("longer", format!("{good}.{}", parts[2])),
        ("no token", "MARKER.MARKER.MARKER".to_owned()),
    ];
    for (what, other) in [
        ("of another issuer", json!({"iss": "https://id.example"})),
        ("without an issuer", json!({"iss": null})),
        ("with its issuer in a list", json!({"iss": [ISSUER]})),
        ("of several issuers", json!({"iss": ["https://evil.example/", ISSUER]})),
        ("for another audience", json!({"aud": "other"})),
        ("for several others", json!({"aud": ["other", "dataapi2"]})),
        ("without an audience", json!({"aud": null})),
        ("that has expired", json!({"exp": seconds_from_now(-90)})),
        ("that never expires", json!({"exp": null})),
        ("with a word as its expiry", json!({"exp": "never"})),
        ("that is not valid yet", json!({"nbf": seconds_from_now(90)})),
        ("without a subject", json!({"sub": null})),
        ("with a line break in its subject", json!({"sub": "a\nb"})),
    ] {
        tokens.push((what, key.sign(&claims(other))));
    }
    for kind in
        ["logout+jwt", "dpop+jwt", "id+jwt", "application/secevent+jwt", "JWE", "", "at+jwt2"]
    {
        tokens.push(("of another type", key.sign_as(Some(kind), &claims(json!({})))));
    }
    for (what, token) in tokens {
        let answer = with(&server, &token, "GET", "/data/").await;
        assert_eq!(answer.status, 401, "{what}");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.contains("invalid_token"), "{what}: {challenge}");
        assert!(!answer.text().contains("MARKER"), "{what}");
        assert_eq!(answer.problem(), "token-refused", "{what}");
    }
    assert_eq!(status(&server, &good).await, 200);
    for kind in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/AT+JWT")] {
        assert_eq!(status(&server, &key.sign_as(kind, &claims(json!({})))).await, 200, "{kind:?}");
    }
    for within in [json!({"exp": seconds_from_now(-30)}), json!({"nbf": seconds_from_now(30)})] {
        assert_eq!(status(&server, &key.sign(&claims(within))).await, 200, "clocks can differ");
    }
}

#[tokio::test]
async fn only_keys_that_verify_tokens_are_taken_from_the_providers_list() {
    let (one, two) = (Key::new("one", Algorithm::ES256), Key::new("two", Algorithm::EdDSA));
    let mut for_encryption = Key::new("three", Algorithm::ES256);
    for_encryption.public.common.public_key_use = Some(PublicKeyUse::Encryption);
    let secret = "a shared secret of thirty-two by";
    let mut keys = json!({"keys": [one.public, two.public, for_encryption.public]});
    keys["keys"].as_array_mut().expect("keys").extend([
        json!({"kty": "oct", "kid": "four", "k": base64(secret)}),
        json!({"kty": "new", "kid": "five"}),
        json!("no key"),
    ]);
    let (server, _file) = serve(&keys.to_string(), |_| {}).await;
    for key in [&one, &two] {
        assert_eq!(status(&server, &key.sign(&claims(json!({})))).await, 200);
        let header = Header::new(key.algorithm);
        let unnamed = encode(&header, &claims(json!({})), &key.secret).expect("a token");
        assert_eq!(status(&server, &unnamed).await, 401, "it could be either key");
    }
    assert_eq!(status(&server, &for_encryption.sign(&claims(json!({})))).await, 401);
    let header = Header { kid: Some("four".to_owned()), ..Header::new(Algorithm::HS256) };
    let shared = EncodingKey::from_secret(secret.as_bytes());
    let token = encode(&header, &claims(json!({})), &shared).expect("a token");
    assert_eq!(status(&server, &token).await, 401);

    let (server, _file) = serve(&list(&[&one.public]), |_| {}).await;
    let header = Header::new(one.algorithm);
    let unnamed = encode(&header, &claims(json!({})), &one.secret).expect("a token");
    assert_eq!(status(&server, &unnamed).await, 200, "there is only one key");
}

/// Starts a provider on this machine that answers each request with the current list.
async fn provider(list: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let list = list.lock().expect("no panic").clone();
            let length = list.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
            let _ = stream.write_all(format!("{head}\r\n\r\n{list}").as_bytes()).await;
        }
    });
    format!("http://{address}/keys")
}

/// Sends requests until the answer has this status, with patience for a slow machine.
async fn becomes(server: &Server, token: &str, wanted: u16) {
    let started = Instant::now();
    while status(server, token).await != wanted {
        assert!(started.elapsed() < Duration::from_secs(60), "it never becomes {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_providers_keys_are_followed_at_a_url() {
    let (old, new) = (Key::new("old", Algorithm::ES256), Key::new("new", Algorithm::ES256));
    let at_url = Arc::new(Mutex::new("not yet there".to_owned()));
    let url = provider(Arc::clone(&at_url)).await;
    let keys = url.parse().expect("a URL of this machine");
    let server = start(TokenOptions::new(keys, ISSUER.to_owned(), AUDIENCE.to_owned())).await;
    let before = old.sign(&claims(json!({})));
    assert_eq!(
        status(&server, &before).await,
        503,
        "without the provider's keys every token is refused"
    );
    *at_url.lock().expect("no panic") = list(&[&old.public]);
    becomes(&server, &before, 200).await;
    *at_url.lock().expect("no panic") = list(&[&new.public]);
    assert_eq!(status(&server, &before).await, 200, "the new list was not read yet");
    becomes(&server, &new.sign(&claims(json!({}))), 200).await;
    assert_eq!(
        status(&server, &before).await,
        401,
        "its key was removed, so the remembered token is refused"
    );
}

//! Keys and tokens: checks in memory what a caller may do and how often. The keys follow the store.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dataapi_core::{
    Clock, Date, DialogStore, Grant, Key, KeyHash, KeyName, KeySecret, Reach, Role, StoreError,
};
use futures_util::future;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::auth::access_log::{AccessEntry, Caller};
use crate::auth::rates::Rates;
use crate::auth::tokens::{TokenOptions, Tokens, Verified};
use crate::net::shares::{Holder, Share, Shares};
use crate::problem::Problem;

/// How often the keys are read from the store: a revoked key works for at most a second.
const PERIOD: Duration = Duration::from_millis(500);

/// After how many failures in a row the known keys are too old to use.
const MOST_FAILURES: u32 = 2;

/// How long a request can wait for its client, for an event or for the store until its key is checked again.
pub(crate) const STALE: Duration = Duration::from_millis(100);

/// How often the store is told when keys were last used.
const NOTE_PERIOD: Duration = Duration::from_secs(60);

/// The known keys, the identity provider's tokens, and the rate limits.
#[derive(Debug)]
pub(crate) struct Keyring {
    known: RwLock<KnownKeys>,
    /// Whether anyone who can reach the server may do everything.
    is_open: AtomicBool,
    pub(crate) tokens: Option<Tokens>,
    /// The shares of the subjects of tokens. A key has its own.
    shares: Shares,
    rates: Option<Rates>,
}

/// The known keys of the store.
#[derive(Clone, Debug)]
enum KnownKeys {
    /// The keys were not read, or not lately: nobody is let in. `had_keys` is whether there were keys before.
    Nothing {
        had_keys: bool,
    },
    /// The store never had a key: anyone who can reach the server may do everything.
    NoKeys,
    Keys(Arc<HashMap<KeyHash, Entry>>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    caller: Caller,
    /// When the key was last used, in microseconds; `i64::MIN` if this server has not seen it.
    used: Arc<AtomicI64>,
    share: Arc<Share>,
}

/// What a caller may do, and its share of what all callers need; `None` if there are no keys.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) reach: Reach,
    pub(crate) share: Option<Arc<Share>>,
}

impl KnownKeys {
    fn had_keys(&self) -> bool {
        matches!(self, Self::Keys(_) | Self::Nothing { had_keys: true })
    }
}

impl Keyring {
    pub(crate) fn new(tokens: Option<TokenOptions>, max_rate: Option<NonZeroU32>) -> Self {
        Self {
            known: RwLock::new(KnownKeys::Nothing { had_keys: false }),
            is_open: AtomicBool::new(false),
            tokens: tokens.map(Tokens::new),
            shares: Shares::default(),
            rates: max_rate.map(Rates::new),
        }
    }

    /// Checks that the caller has `role`, and notes the caller for the access log. Returns the caller's reach and
    /// share, or the problem that names what the request lacks.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        role: Role,
        clock: &dyn Clock,
        access: &mut AccessEntry,
    ) -> Result<Allowed, Problem> {
        self.with_grant(headers, clock, access, |caller, grant| self.admit(caller, grant, role))
    }

    /// Checks again that the caller has `role` and `reach`, before more is done or told on a request that waited: the
    /// key could have been revoked meanwhile, or have expired.
    pub(crate) fn check_again(
        &self,
        headers: &HeaderMap,
        role: Role,
        reach: &Reach,
        clock: &dyn Clock,
    ) -> Result<(), Problem> {
        let same = |_: &Caller, grant: Option<&Grant>| {
            let grant = grant.filter(|grant| grant.allows(role) && grant.reach() == reach);
            grant.map(|grant| grant.reach().clone()).ok_or_else(Problem::key_changed)
        };
        self.with_grant(headers, clock, &mut AccessEntry::default(), same).map(drop)
    }

    /// Whether the server needs no keys: the store never had one, and no tokens are accepted.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Finds the caller and what the caller may do, and passes them on.
    fn with_grant(
        &self,
        headers: &HeaderMap,
        clock: &dyn Clock,
        access: &mut AccessEntry,
        then: impl FnOnce(&Caller, Option<&Grant>) -> Result<Reach, Problem>,
    ) -> Result<Allowed, Problem> {
        let keys = match &*self.known.read().unwrap_or_else(PoisonError::into_inner) {
            KnownKeys::NoKeys if self.tokens.is_none() => {
                return Ok(Allowed { reach: Reach::default(), share: None });
            }
            KnownKeys::NoKeys => Arc::default(),
            KnownKeys::Nothing { .. } => {
                return Err(Problem::unavailable("the keys cannot be read", PERIOD));
            }
            KnownKeys::Keys(keys) => Arc::clone(keys),
        };
        let bearer = bearer(headers)?.ok_or_else(Problem::key_needed)?;
        let now = clock.now();
        match (bearer.parse::<KeySecret>(), &self.tokens) {
            (Ok(secret), _) => {
                let Entry { key, caller, used, share } =
                    keys.get(&secret.hash()).ok_or_else(Problem::key_refused)?;
                access.by(caller);
                if !key.works(now) {
                    return Err(Problem::key_refused());
                }
                used.fetch_max(now.as_micros(), Ordering::Relaxed);
                let reach = then(caller, Some(&key.grant))?;
                Ok(Allowed { reach, share: Some(Arc::clone(share)) })
            }
            (Err(_), Some(tokens)) => {
                let Verified { subject, grant, .. } = tokens.check(bearer, now)?;
                let share = self.shares.of(Holder::Subject(Arc::clone(&subject)));
                let caller = Caller::Subject(subject);
                access.by(&caller);
                let reach = then(&caller, grant.as_ref())?;
                Ok(Allowed { reach, share: Some(share) })
            }
            (Err(_), None) => Err(Problem::key_refused()),
        }
    }

    fn admit(&self, caller: &Caller, grant: Option<&Grant>, role: Role) -> Result<Reach, Problem> {
        if let Some(rates) = &self.rates {
            rates.check(caller).map_err(Problem::rate_limited)?;
        }
        match grant {
            Some(grant) if grant.allows(role) => Ok(grant.reach().clone()),
            Some(grant) if !grant.roles().are_known() => Err(Problem::role_unknown(role)),
            _ => Err(Problem::role_missing(role)),
        }
    }

    /// Reads the store's keys, and the identity provider's, for the first time.
    pub(crate) async fn load(&self, store: &dyn DialogStore) {
        if let Ok(keys) = store.keys().await {
            self.take(keys);
        }
        if let Some(tokens) = &self.tokens {
            tokens.load().await;
        }
    }

    /// Follows the store and the identity provider. Runs until it is dropped.
    pub(crate) async fn run(&self, store: &dyn DialogStore) {
        let following = async {
            match &self.tokens {
                Some(tokens) => tokens.run().await,
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = self.follow(store) => {}
            () = following => {}
        }
    }

    async fn follow(&self, store: &dyn DialogStore) {
        let mut period = tokio::time::interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = Instant::now();
        let mut failures = 0;
        loop {
            period.tick().await;
            // A store that answers too late counts as failed.
            let keys = timeout(PERIOD, store.keys()).await;
            match keys.unwrap_or_else(|late| Err(StoreError::backend(late))) {
                Ok(keys) => {
                    self.take(keys);
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    if failures == MOST_FAILURES {
                        tracing::warn!(%error, "the keys cannot be read from the store; every request that needs a key is refused");
                        self.fail();
                    }
                }
            }
            if noted.elapsed() >= NOTE_PERIOD {
                noted = Instant::now();
                self.note_use(store).await;
                if let Some(rates) = &self.rates {
                    rates.forget();
                }
            }
        }
    }

    /// Marks the known keys as too old to use.
    fn fail(&self) {
        self.set(KnownKeys::Nothing { had_keys: self.known().had_keys() });
    }

    fn take(&self, keys: Vec<Key>) {
        let before = self.known();
        let had_keys = before.had_keys();
        // Keys are never removed. If they are missing, this is another store, or it cannot be trusted.
        if keys.is_empty() && !had_keys {
            return self.set(KnownKeys::NoKeys);
        }
        let entry = |key: Key| {
            let known = match &before {
                KnownKeys::Keys(before) => before
                    .get(&key.hash)
                    .map(|entry| (Arc::clone(&entry.used), Arc::clone(&entry.share))),
                KnownKeys::Nothing { .. } | KnownKeys::NoKeys => None,
            };
            let (used, share) =
                known.unwrap_or_else(|| (Arc::new(AtomicI64::new(i64::MIN)), Arc::default()));
            (key.hash, Entry { caller: Caller::Key(key.name.clone()), key, used, share })
        };
        self.set(KnownKeys::Keys(Arc::new(keys.into_iter().map(entry).collect())));
    }

    /// Tells the store when keys were used. If that fails, the next call does it.
    async fn note_use(&self, store: &dyn DialogStore) {
        let KnownKeys::Keys(keys) = self.known() else { return };
        let used: Vec<(KeyName, Date)> = keys
            .values()
            .filter_map(|Entry { key, used, .. }| {
                let used = Date::from_micros(used.load(Ordering::Relaxed)).ok()?;
                (key.last_used < Some(used)).then(|| (key.name.clone(), used))
            })
            .collect();
        if !used.is_empty() {
            let _ = store.note_key_use(used).await;
        }
    }

    fn known(&self) -> KnownKeys {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, known: KnownKeys) {
        let is_open = self.tokens.is_none() && matches!(known, KnownKeys::NoKeys);
        let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
        self.is_open.store(is_open, Ordering::Relaxed);
        *place = known;
    }
}

/// Returns the key or the token of a request (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let value = match (given.next(), given.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(Problem::key_refused()),
    };
    let bearer = value.to_str().ok().and_then(|value| {
        let (scheme, bearer) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(bearer.trim())
    });
    bearer.map(Some).ok_or_else(Problem::key_refused)
}

#[cfg(test)]
mod tests {
    use dataapi_core::{NewKey, Roles, SystemClock};

    use super::*;

    fn is_open(keyring: &Keyring) -> bool {
        let mut access = AccessEntry::default();
        let is_let_in =
            keyring.check(&HeaderMap::new(), Role::Read, &SystemClock, &mut access).is_ok();
        assert_eq!(is_let_in, keyring.is_open());
        is_let_in
    }

    fn with_key(roles: &str, reach: Reach) -> Key {
        let new = NewKey {
            name: "key".parse().expect("a name"),
            grant: Grant::new(roles.parse::<Roles>().expect("roles"), reach).expect("a grant"),
            hash: KeySecret::from_bytes([7; 32]).hash(),
            expires: None,
        };
        new.kept(Date::MIN)
    }

    #[test]
    fn a_key_with_other_roles_or_bounds_than_before_is_refused_to_a_request_that_waited() {
        let keyring = Keyring::new(None, None);
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", KeySecret::from_bytes([7; 32]));
        headers.insert(AUTHORIZATION, bearer.try_into().expect("a header"));
        let shop = Reach::default().only_customers("shop-".parse().expect("a prefix"));
        let again = |reach: &Reach| {
            let checked = keyring.check_again(&headers, Role::Read, reach, &SystemClock);
            checked.map_err(|problem| problem.into_response().status().as_u16())
        };
        keyring.take(vec![with_key("read", shop.clone())]);
        assert_eq!(again(&shop), Ok(()));
        keyring.take(vec![with_key("read,consent", shop.clone())]);
        assert_eq!(again(&shop), Ok(()), "it still has the role");
        for changed in [
            with_key("consent", shop.clone()),
            with_key("read", Reach::default()),
            with_key("read", Reach::default().only_customers("bank-".parse().expect("a prefix"))),
            Key { revoked: Some(Date::MIN), ..with_key("read", shop.clone()) },
            Key { expires: Some(Date::MIN), ..with_key("read", shop.clone()) },
        ] {
            keyring.take(vec![changed]);
            assert_eq!(again(&shop), Err(401));
        }
        keyring.fail();
        assert_eq!(again(&shop), Err(503), "keys that cannot be read let nobody in");
    }

    #[test]
    fn what_had_keys_never_opens_again_whatever_fails_in_between() {
        let keyring = Keyring::new(None, None);
        assert!(!is_open(&keyring), "nobody is let in before the keys were read");
        keyring.take(Vec::new());
        assert!(is_open(&keyring));
        keyring.take(vec![with_key("read", Reach::default())]);
        assert!(!is_open(&keyring));
        for _ in 0..2 {
            keyring.fail();
            assert!(!is_open(&keyring));
            keyring.take(Vec::new());
            assert!(!is_open(&keyring), "a store that lost its keys cannot be trusted");
        }
    }
}

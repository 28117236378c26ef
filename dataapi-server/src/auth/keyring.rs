//! Keys and tokens: who may do what and how often, checked from memory. Keys are kept up to date with the
//! store.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, Ordering};
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
use crate::problem::Problem;

/// How often the store is asked: a key that is revoked works for no longer than a second.
const PERIOD: Duration = Duration::from_millis(500);

/// After how many failures in a row what is known is too old to go by.
const MOST_FAILURES: u32 = 2;

/// How often it is noted in the store when keys were used.
const NOTE_PERIOD: Duration = Duration::from_mins(1);

/// Who may do what.
#[derive(Debug)]
pub(crate) struct Keyring {
    known: RwLock<KnownKeys>,
    pub(crate) tokens: Option<Tokens>,
    rates: Option<Rates>,
}

/// What is known of the store's keys.
#[derive(Clone, Debug)]
enum KnownKeys {
    /// Nothing, or nothing of late: nobody is let in. Whether there were keys before is kept.
    Nothing {
        had_keys: bool,
    },
    /// The store never had a key: anyone who reaches the server may do everything.
    NoKeys,
    Keys(Arc<HashMap<KeyHash, Entry>>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    caller: Caller,
    /// When it was last used, in microseconds; as long as it was not, far in the past.
    used: Arc<AtomicI64>,
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
            tokens: tokens.map(Tokens::new),
            rates: max_rate.map(Rates::new),
        }
    }

    /// Lets a request pass that takes that role, within the reach that comes back, or says what it lacks;
    /// notes who asked.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        role: Role,
        clock: &dyn Clock,
        access: &mut AccessEntry,
    ) -> Result<Reach, Problem> {
        let keys = match &*self.known.read().unwrap_or_else(PoisonError::into_inner) {
            KnownKeys::NoKeys if self.tokens.is_none() => return Ok(Reach::default()),
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
                let Entry { key, caller, used } =
                    keys.get(&secret.hash()).ok_or_else(Problem::key_refused)?;
                access.by(caller);
                if !key.works(now) {
                    return Err(Problem::key_refused());
                }
                used.fetch_max(now.as_micros(), Ordering::Relaxed);
                self.admit(caller, Some(&key.grant), role)
            }
            (Err(_), Some(tokens)) => {
                let Verified { subject, grant, .. } = tokens.check(bearer, now)?;
                let caller = Caller::Subject(subject);
                access.by(&caller);
                self.admit(&caller, grant.as_ref(), role)
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
            _ => Err(Problem::role_missing(role)),
        }
    }

    /// Reads the store's keys, and those of the identity provider, for the first time.
    pub(crate) async fn load(&self, store: &dyn DialogStore) {
        if let Ok(keys) = store.keys().await {
            self.take(keys);
        }
        if let Some(tokens) = &self.tokens {
            tokens.load().await;
        }
    }

    /// Keeps up with the store and the identity provider. Runs until it is dropped.
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
            // One that answers too late fails as well.
            let keys = timeout(PERIOD, store.keys()).await;
            match keys.unwrap_or_else(|late| Err(StoreError::backend(late))) {
                Ok(keys) => {
                    self.take(keys);
                    failures = 0;
                }
                Err(error) => {
                    failures += 1;
                    if failures == MOST_FAILURES {
                        tracing::warn!(%error, "the keys cannot be read; nobody is let in");
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

    /// What is known is too old to go by.
    fn fail(&self) {
        self.set(KnownKeys::Nothing { had_keys: self.known().had_keys() });
    }

    fn take(&self, keys: Vec<Key>) {
        let before = self.known();
        let had_keys = before.had_keys();
        // Keys are never removed: without them the store is another one, or not to be trusted.
        if keys.is_empty() && !had_keys {
            return self.set(KnownKeys::NoKeys);
        }
        let entry = |key: Key| {
            let known = match &before {
                KnownKeys::Keys(before) => {
                    before.get(&key.hash).map(|entry| Arc::clone(&entry.used))
                }
                KnownKeys::Nothing { .. } | KnownKeys::NoKeys => None,
            };
            let used = known.unwrap_or_else(|| Arc::new(AtomicI64::new(i64::MIN)));
            (key.hash, Entry { caller: Caller::Key(key.name.clone()), key, used })
        };
        self.set(KnownKeys::Keys(Arc::new(keys.into_iter().map(entry).collect())));
    }

    /// What fails is noted the next time.
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
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// The key or the token that a request brings (RFC 6750, section 2.1).
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
        keyring.check(&HeaderMap::new(), Role::Read, &SystemClock, &mut access).is_ok()
    }

    #[test]
    fn what_had_keys_never_opens_again_whatever_fails_in_between() {
        let keyring = Keyring::new(None, None);
        assert!(!is_open(&keyring), "before the store was asked nobody is let in");
        keyring.take(Vec::new());
        assert!(is_open(&keyring));
        let key = NewKey {
            name: "key".parse().expect("a name"),
            grant: "read".parse::<Roles>().expect("roles").into(),
            hash: KeySecret::from_bytes([7; 32]).hash(),
            expires: None,
        };
        keyring.take(vec![key.kept(Date::MIN)]);
        assert!(!is_open(&keyring));
        for _ in 0..2 {
            keyring.fail();
            assert!(!is_open(&keyring));
            keyring.take(Vec::new());
            assert!(!is_open(&keyring), "a store without its keys is not to be trusted");
        }
    }
}

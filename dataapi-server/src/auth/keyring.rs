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
    use std::sync::atomic::AtomicUsize;

    use dataapi_conformance::ManualClock;
    use dataapi_core::prelude::*;
    use dataapi_core::{MemoryStore, NewKey, RefKey, Roles, SystemClock};

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

    /// A store whose keys cannot be read while it fails, and that counts how often it is told of their use.
    struct Watched {
        store: MemoryStore,
        fails: AtomicBool,
        told: AtomicUsize,
    }

    impl Watched {
        /// A store with one key, which analysts use.
        async fn with_key(clock: &ManualClock) -> Arc<Self> {
            let store = MemoryStore::new(Arc::new(clock.clone()), RefKey::from_bytes([7; 32]));
            let Key { name, grant, hash, expires, .. } = with_key("read", Reach::default());
            let new = NewKey { name, grant, hash, expires };
            store.create_key(new).await.expect("a key is kept");
            let (fails, told) = <_>::default();
            Arc::new(Self { store, fails, told })
        }

        async fn last_used(&self) -> Option<Date> {
            self.store.keys().await.expect("the keys")[0].last_used
        }
    }

    impl Dialogs for Watched {
        dataapi_core::delegate!(Dialogs to store);
    }

    impl Ledger for Watched {
        dataapi_core::delegate!(Ledger to store);
    }

    #[async_trait::async_trait]
    impl Keys for Watched {
        dataapi_core::delegate!(create_key, revoke_key to store);

        async fn keys(&self) -> Result<Vec<Key>, StoreError> {
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::backend("it fails"));
            }
            self.store.keys().await
        }

        async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError> {
            self.told.fetch_add(1, Ordering::Relaxed);
            self.store.note_key_use(used).await
        }
    }

    impl Upkeep for Watched {
        dataapi_core::delegate!(Upkeep to store);
    }

    fn bearing(number: u8) -> HeaderMap {
        let bearer = format!("Bearer {}", KeySecret::from_bytes([number; 32]));
        [(AUTHORIZATION, bearer.try_into().expect("a header"))].into_iter().collect()
    }

    /// The status and the problem of a request with these headers.
    fn asked(
        keyring: &Keyring,
        headers: &HeaderMap,
        role: Role,
        clock: &dyn Clock,
    ) -> (u16, String) {
        let checked = keyring.check(headers, role, clock, &mut AccessEntry::default());
        let Err(problem) = checked else { return (200, String::new()) };
        let answer = problem.into_response();
        (answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned())
    }

    #[tokio::test]
    async fn the_store_is_told_of_each_use_of_a_key_once() {
        let clock = ManualClock::default();
        let store = Watched::with_key(&clock).await;
        let keyring = Keyring::new(None, None);
        keyring.load(&*store).await;
        keyring.note_use(&*store).await;
        assert_eq!((store.last_used().await, store.told.load(Ordering::Relaxed)), (None, 0));
        for used in 1..3 {
            clock.advance(Duration::from_secs(60));
            assert_eq!(asked(&keyring, &bearing(7), Role::Read, &clock).0, 200);
            // The second time, the keys have been read again and say so already.
            for _ in 0..2 {
                keyring.note_use(&*store).await;
                assert_eq!(store.last_used().await, Some(clock.now()));
                assert_eq!(store.told.load(Ordering::Relaxed), used);
                keyring.load(&*store).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_cannot_be_read_twice_let_nobody_in_until_they_can_be_read_again() {
        let clock = ManualClock::default();
        let store = Watched::with_key(&clock).await;
        let keyring = Arc::new(Keyring::new(None, None));
        let (source, follower) = (Arc::clone(&store), Arc::clone(&keyring));
        let following = tokio::spawn(async move { follower.run(&*source).await });
        let after = async |periods: f64| {
            tokio::time::sleep(PERIOD.mul_f64(periods)).await;
            assert!(!following.is_finished());
            asked(&keyring, &bearing(7), Role::Read, &clock).0
        };
        assert_eq!(after(0.5).await, 200);
        for _ in 0..2 {
            store.fails.store(true, Ordering::Relaxed);
            assert_eq!(after(1.0).await, 200, "one failure can be passing");
            assert_eq!(after(1.0).await, 503);
            assert_eq!(after(10.0).await, 503);
            store.fails.store(false, Ordering::Relaxed);
            assert_eq!(after(1.0).await, 200);
            store.fails.store(true, Ordering::Relaxed);
            assert_eq!(
                after(1.0).await,
                200,
                "failures that do not follow each other are counted apart"
            );
            store.fails.store(false, Ordering::Relaxed);
            assert_eq!(after(1.0).await, 200);
        }
        following.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_use_of_keys_is_told_once_a_minute() {
        let clock = ManualClock::default();
        let store = Watched::with_key(&clock).await;
        let keyring = Arc::new(Keyring::new(None, NonZeroU32::new(100)));
        keyring.load(&*store).await;
        let (source, follower) = (Arc::clone(&store), Arc::clone(&keyring));
        let following = tokio::spawn(async move { follower.run(&*source).await });
        tokio::time::sleep(Duration::from_secs(5)).await;
        for told in 1..4 {
            clock.advance(Duration::from_secs(60));
            assert_eq!(asked(&keyring, &bearing(7), Role::Read, &clock).0, 200);
            tokio::time::sleep(Duration::from_secs(50)).await;
            assert_eq!(store.told.load(Ordering::Relaxed), told - 1);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert_eq!(store.told.load(Ordering::Relaxed), told);
            assert_eq!(store.last_used().await, Some(clock.now()));
            assert!(!following.is_finished());
        }
        following.abort();
    }

    #[test]
    fn a_caller_is_told_whether_a_role_is_missing_or_not_known_here() {
        let keyring = Keyring::new(None, None);
        let told = |roles: Roles, wanted| {
            let grant = roles.into();
            keyring.take(vec![Key { grant, ..with_key("read", Reach::default()) }]);
            asked(&keyring, &bearing(7), wanted, &SystemClock)
        };
        let read = "read".parse::<Roles>().expect("a role");
        assert_eq!(told(read, Role::Read).0, 200);
        let (status, missing) = told(read, Role::Ingest);
        assert!(
            status == 403 && missing.contains("needs a key with the role 'ingest'"),
            "{missing}"
        );
        let later = Roles::from_bits(read.bits() | 1 << 9).expect("a store can hold it");
        let (status, unknown) = told(later, Role::Read);
        assert!(status == 403 && unknown.contains("does not know"), "{unknown}");
    }

    #[test]
    fn only_the_one_key_of_a_request_lets_it_in() {
        let keyring = Keyring::new(None, None);
        keyring.take(vec![with_key("read", Reach::default())]);
        let status = |values: &[&str]| {
            let values = values.iter().map(|it| (AUTHORIZATION, it.parse().expect("a header")));
            asked(&keyring, &values.collect(), Role::Read, &SystemClock).0
        };
        let secret = KeySecret::from_bytes([7; 32]).to_string();
        let good = format!("Bearer {secret}");
        assert_eq!(status(&[&good]), 200);
        assert_eq!(status(&[&format!("bEARER   {secret} ")]), 200);
        let other = format!("Bearer {}", KeySecret::from_bytes([8; 32]));
        let refused: [&[&str]; 9] = [
            &[],
            &[&good, &good],
            &[&good, &other],
            &[&other],
            &[&secret],
            &["Bearer"],
            &["Bearer "],
            &[&format!("Basic {secret}")],
            &[&format!("Bearer{secret}")],
        ];
        for refused in refused {
            assert_eq!(status(refused), 401, "{refused:?}");
        }
    }

    #[test]
    fn a_server_that_takes_tokens_is_closed_without_keys() {
        let source = "keys.json".parse().expect("a file");
        let options = TokenOptions::new(source, "https://id.example/".into(), "dataapi".into());
        let keyring = Keyring::new(Some(options), None);
        keyring.take(Vec::new());
        assert!(!is_open(&keyring));
        assert_eq!(asked(&keyring, &bearing(7), Role::Read, &SystemClock).0, 401);
    }
}

//! Keys: each has its own name and is stored by its hash, and a revoked key stays revoked.

use dataapi_core::{
    Clock, DialogStore, Grant, Key, KeyName, KeySecret, NewKey, Reach, Role, Roles, StoreError,
};

use crate::ManualClock;
use crate::scene::{SECOND, assert_refused};

fn name(name: &str) -> KeyName {
    name.parse().expect("tests use valid names")
}

fn roles(roles: &str) -> Roles {
    roles.parse().expect("tests use known roles")
}

fn key(called: &str, roles: &str) -> NewKey {
    let mut bytes = [7; 32];
    bytes[..called.len()].copy_from_slice(called.as_bytes());
    NewKey {
        name: name(called),
        grant: self::roles(roles).into(),
        hash: KeySecret::from_bytes(bytes).hash(),
        expires: None,
    }
}

async fn keys(store: &dyn DialogStore) -> Vec<Key> {
    store.keys().await.expect("the keys can be read")
}

/// A new store has no keys.
pub async fn a_new_store_has_no_keys(store: &dyn DialogStore, _: &ManualClock) {
    assert_eq!(keys(store).await, []);
}

/// A key is kept with everything it was made with and the current date. Keys are ordered by name.
pub async fn a_key_is_kept_as_it_was_made(store: &dyn DialogStore, clock: &ManualClock) {
    let later = clock.now().saturating_add(SECOND * 60);
    let second = NewKey { expires: Some(later), ..key("second", "ingest,consent") };
    let reach = Reach::default().only_customers("zoë/%".parse().expect("a prefix"));
    let tags = ["pt-BR", "EN"].map(|tag| tag.parse().expect("a tag"));
    let reach = reach.only_languages(tags.to_vec()).expect("two languages");
    let grant = Grant::new(roles("read,ingest"), reach).expect("they can be bound");
    let first = NewKey { grant, ..key("first", "read") };
    assert_eq!(store.create_key(second.clone()).await.expect("a key is kept"), clock.now());
    clock.advance(SECOND);
    store.create_key(first.clone()).await.expect("a key is kept");
    let kept = keys(store).await;
    let as_new = |key: &Key| NewKey {
        name: key.name.clone(),
        grant: key.grant.clone(),
        hash: key.hash,
        expires: key.expires,
    };
    assert_eq!(kept.iter().map(as_new).collect::<Vec<_>>(), [first, second]);
    assert_eq!(kept[0].created, clock.now());
    assert!(kept.iter().all(|key| key.revoked.is_none() && key.last_used.is_none()));
    assert!(kept[1].works(clock.now()) && !kept[1].works(later), "it expires");
}

/// A key with a role that only a later version knows is kept as it is, and allows nothing. The other keys are read as
/// before.
pub async fn a_key_with_an_unknown_role_is_kept_and_allows_nothing(
    store: &dyn DialogStore,
    _: &ManualClock,
) {
    let later = [1 << 6, 1 << 7 | 1, 1 << 14 | 4].map(|bits| Roles::from_bits(bits).expect("bits"));
    for (number, roles) in later.into_iter().enumerate() {
        let called = format!("later-{number}");
        let key = NewKey { grant: roles.into(), ..key(&called, "read") };
        store.create_key(key).await.expect("a key is kept");
    }
    store.create_key(key("known", "read,metrics")).await.expect("a key is kept");
    assert!(store.revoke_key(&name("later-2")).await.expect("a key can be revoked"));
    let kept = keys(store).await;
    assert_eq!(kept[0].grant, roles("read,metrics").into());
    for (key, roles) in kept[1..].iter().zip(later) {
        assert_eq!(key.grant.roles(), roles);
        assert!(Role::ALL.into_iter().all(|role| !key.grant.allows(role)), "{key:?}");
    }
    assert!(kept[3].revoked.is_some());
}

/// No two keys ever have the same name, so that a name in a log is unambiguous.
pub async fn a_name_is_given_to_one_key_for_ever(store: &dyn DialogStore, _: &ManualClock) {
    store.create_key(key("name", "read")).await.expect("a key is kept");
    let before = keys(store).await;
    for _ in 0..2 {
        let again = NewKey { hash: key("other", "admin").hash, ..key("name", "admin") };
        let again = store.create_key(again).await;
        assert_refused!(again, StoreError::Invalid { field: "name", .. }, "the name is taken");
        assert_eq!(keys(store).await[0].hash, before[0].hash);
        assert_eq!(keys(store).await[0].grant, before[0].grant);
        store.revoke_key(&name("name")).await.expect("a key can be revoked");
    }
}

/// A revoked key never works again, and keeps the date when it was revoked.
pub async fn a_revoked_key_stays_revoked(store: &dyn DialogStore, clock: &ManualClock) {
    store.create_key(key("name", "read")).await.expect("a key is kept");
    store.create_key(key("other", "read")).await.expect("a key is kept");
    assert!(!store.revoke_key(&name("unknown")).await.expect("an answer"), "there is none");
    clock.advance(SECOND);
    let revoked = clock.now();
    for _ in 0..2 {
        assert!(store.revoke_key(&name("name")).await.expect("a key can be revoked"));
        clock.advance(SECOND);
    }
    let kept = keys(store).await;
    assert_eq!(kept[0].revoked, Some(revoked));
    assert!(!kept[0].works(clock.now()));
    assert_eq!(kept[1].revoked, None, "another key still works");
}

/// The latest use of a key is kept, even if an earlier use is recorded after it.
pub async fn the_use_of_keys_is_noted_and_never_goes_back(
    store: &dyn DialogStore,
    clock: &ManualClock,
) {
    store.create_key(key("name", "read")).await.expect("a key is kept");
    let (earlier, later) = (clock.now(), clock.now().saturating_add(SECOND));
    for date in [later, earlier] {
        let used = vec![(name("name"), date), (name("unknown"), date)];
        store.note_key_use(used).await.expect("a use can be noted");
    }
    assert_eq!(keys(store).await[0].last_used, Some(later));
}

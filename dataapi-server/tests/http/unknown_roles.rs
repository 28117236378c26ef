//! Keys of a later version: a role that this version does not know is refused, and every other key works on.

use std::sync::Arc;

use dataapi::OpenOptions;
use dataapi_core::DialogStore;
use dataapi_server::Config;
use tokio_postgres::NoTls;

use crate::keys::{becomes, key, secret, with};
use crate::server::Server;

/// The roles of the keys that a later version made: an unknown one, one beside `read`, and the highest.
const LATER: [(u8, i16); 3] = [(20, 1 << 6), (21, 1 << 7 | 1 << 2), (22, 1 << 14)];

/// Starts a server on the store, has a later version add its keys, and checks every key.
async fn later_keys_are_refused_and_others_work(url: &str, later: impl AsyncFnOnce()) {
    let store: Arc<dyn DialogStore> = OpenOptions::default().open(url).await.expect("a store");
    key(&*store, 2, "read", None).await;
    let server = Server::start(Arc::clone(&store), Config::default()).await;
    assert_eq!(with(&server, 2, "GET", "/data/", "").await.status, 200);
    later().await;
    // A key that is made after them shows that the server has read them all.
    key(&*store, 3, "ingest", None).await;
    becomes(&server, 3, 403).await;
    for (number, _) in LATER {
        for target in ["/data/", "/metrics", "/stats", "/changes"] {
            let answer = with(&server, number, "GET", target, "").await;
            assert_eq!((answer.status, &*answer.problem()), (403, "role-missing"), "{target}");
            assert!(answer.text().contains("does not know"), "{answer:?}");
        }
    }
    assert_eq!(with(&server, 2, "GET", "/data/", "").await.status, 200);
    assert_eq!(with(&server, 9, "GET", "/data/", "").await.status, 401);

    // They can be revoked, and the use of other keys is still noted.
    assert!(store.revoke_key(&"later-21".parse().expect("a name")).await.expect("revoked"));
    becomes(&server, 21, 401).await;
    let keys = store.keys().await.expect("the keys");
    assert_eq!(keys.len(), 5);
    let unknown = keys.iter().filter(|key| !key.grant.roles().are_known());
    assert_eq!(unknown.count(), 3);
    server.ended().await;

    // A server that starts with them does the same.
    let server = Server::start(store, Config::default()).await;
    assert_eq!(with(&server, 20, "GET", "/data/", "").await.status, 403);
    assert_eq!(with(&server, 2, "GET", "/data/", "").await.status, 200);
}

/// The checksum of a key's row in a SQLite store.
fn checksum(name: &str, roles: i16, hash: &[u8; 32]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0, 0]);
    let [high, low] = roles.to_be_bytes();
    hasher.update(&[low]);
    if high > 0 {
        hasher.update(&[high]);
    }
    hasher.update(hash);
    for date in [0, i64::MIN, i64::MIN, i64::MIN] {
        hasher.update(&date.to_be_bytes());
    }
    hasher.finalize()
}

#[tokio::test]
async fn a_sqlite_store_with_keys_of_a_later_version_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dialogs.db");
    let url = format!("sqlite:{}", file.display());
    later_keys_are_refused_and_others_work(&url, async || {
        let rows = rusqlite::Connection::open(&file).expect("it opens");
        for (number, roles) in LATER {
            let (name, hash) = (format!("later-{number}"), secret(number).hash());
            let check = checksum(&name, roles, hash.as_bytes());
            rows.execute(
                "INSERT INTO api_key (name, roles, hash, created, checksum) VALUES (?1, ?2, ?3, 0, ?4)",
                (&name, roles, hash.as_bytes(), check),
            )
            .expect("a row");
        }
    })
    .await;
}

#[tokio::test]
async fn a_postgres_store_with_keys_of_a_later_version_is_served() {
    postgres_cluster::skip_without_postgres!();
    let url = postgres_cluster::new_database();
    later_keys_are_refused_and_others_work(&url, async || {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("it opens");
        tokio::spawn(connection);
        for (number, roles) in LATER {
            let (name, hash) = (format!("later-{number}"), secret(number).hash());
            client
                .execute(
                    "INSERT INTO dataapi.api_key (name, roles, hash, created) VALUES ($1, $2, $3, 0)",
                    &[&name, &roles, &hash.as_bytes().as_slice()],
                )
                .await
                .expect("a row");
        }
    })
    .await;
}

//! Requests that wait: a key that is revoked or expires meanwhile gets nothing more and changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dataapi_core::{
    Clock, DialogStore, Dialogs, Keys, Ledger, Page, PageRequest, StoreError, Upkeep,
};
use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::keys::{becomes, key, secret, with, with_keys};
use crate::patience::PATIENCE;
use crate::server::{Answer, DIALOG, Server, memory, read};

const WAIT: &str = "/changes?dialogs=true&after=0&wait=60s";

/// How long a request has to begin to wait.
const A_WHILE: Duration = Duration::from_millis(300);

fn is_refused(answer: &Answer) {
    assert_eq!((answer.status, &*answer.problem()), (401, "key-refused"), "{answer:?}");
    assert!(!answer.text().contains("secret"), "{answer:?}");
}

/// Stores a dialog and its consent with the keys 0 and 1.
async fn consented(server: &Server, dialog: &str) {
    let body = r#"{"text":"secret","language":"en"}"#;
    let stored = with(server, 0, "POST", &format!("/data/anna/{dialog}"), body).await;
    assert_eq!(stored.status, 201);
    let granted = with(server, 1, "POST", &format!("/consents/{dialog}"), "true").await;
    assert_eq!(granted.status, 200);
}

#[tokio::test]
async fn a_revoked_key_gets_no_change_that_it_waited_for() {
    let (server, _) = with_keys().await;
    let waiting = with(&server, 2, "GET", WAIT, "");
    let revoking = async {
        sleep(A_WHILE).await;
        assert!(server.store.revoke_key(&"key-2".parse().expect("a name")).await.expect("revoked"));
        let revoked = Instant::now();
        becomes(&server, 2, 401).await;
        // The waiting request would be answered with this.
        consented(&server, "d").await;
        revoked
    };
    let (answer, revoked) = tokio::join!(waiting, revoking);
    is_refused(&answer);
    // Within a second, and some more on a busy machine.
    assert!(revoked.elapsed() < Duration::from_secs(10), "{:?}", revoked.elapsed());
    let other = with(&server, 4, "GET", WAIT, "").await;
    assert_eq!(other.json()["events"][0]["dialog"]["text"], "secret", "another key still works");
}

#[tokio::test]
async fn a_key_that_expires_gets_no_change_that_it_waited_for() {
    let (server, clock) = with_keys().await;
    let expires = clock.now().saturating_add(Duration::from_secs(60));
    key(&*server.store, 8, "read", Some(expires)).await;
    becomes(&server, 8, 200).await;
    let started = Instant::now();
    let waiting = with(&server, 8, "GET", WAIT, "");
    let expiring = async {
        sleep(A_WHILE).await;
        clock.advance(Duration::from_secs(60));
        consented(&server, "d").await;
    };
    let (answer, ()) = tokio::join!(waiting, expiring);
    is_refused(&answer);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[tokio::test]
async fn who_waits_without_a_key_is_refused_once_the_store_has_one() {
    let server = Server::memory().await;
    let waiting = server.get(WAIT);
    let closing = async {
        sleep(A_WHILE).await;
        for (number, role) in [(0, "ingest"), (1, "consent")] {
            key(&*server.store, number, role, None).await;
        }
        becomes(&server, 1, 403).await;
        consented(&server, "d").await;
    };
    let (answer, ()) = tokio::join!(waiting, closing);
    assert_eq!((answer.status, &*answer.problem()), (401, "key-needed"), "{answer:?}");
    assert!(!answer.text().contains("secret"), "{answer:?}");
}

#[tokio::test]
async fn a_key_that_was_revoked_while_it_sent_a_body_changes_nothing() {
    let (server, _) = with_keys().await;
    assert_eq!(with(&server, 0, "POST", "/data/anna/there", DIALOG).await.status, 201);
    for number in [0, 1] {
        let (target, body) = match number {
            0 => ("/data/anna/new", DIALOG),
            _ => ("/consents/there", "true"),
        };
        let (before, after) = body.split_at(2);
        let head = format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{before}",
            secret(number),
            body.len(),
        );
        let mut connection = server.connect().await;
        connection.write_all(head.as_bytes()).await.expect("it is sent");
        sleep(A_WHILE).await;
        let name = format!("key-{number}").parse().expect("a name");
        assert!(server.store.revoke_key(&name).await.expect("revoked"));
        becomes(&server, number, 401).await;
        connection.write_all(after.as_bytes()).await.expect("it is sent");
        is_refused(&read(&mut connection).await);
        if number == 0 {
            key(&*server.store, 9, "ingest", None).await;
            becomes(&server, 9, 403).await;
            let free = with(&server, 9, "POST", "/data/anna/new", DIALOG).await;
            assert_eq!(free.status, 201, "nothing was stored");
        } else {
            let status = with(&server, 4, "GET", "/consents/there", "").await.json();
            assert_eq!(status["consent"], "pending");
        }
    }
}

/// A store whose pages wait for a permit.
struct Slow {
    store: Arc<dyn DialogStore>,
    pages: Arc<Semaphore>,
}

#[async_trait]
impl Dialogs for Slow {
    dataapi_core::delegate!(
        insert, import, decide, decide_early, consent, dialog, is_within, subject_data,
        erase_dialog, erase_customer, stats to store
    );

    async fn query(&self, request: &PageRequest) -> Result<Page<dataapi_core::Dialog>, StoreError> {
        let _permit = self.pages.acquire().await;
        self.store.query(request).await
    }
}

impl Ledger for Slow {
    dataapi_core::delegate!(Ledger to store);
}

impl Keys for Slow {
    dataapi_core::delegate!(Keys to store);
}

impl Upkeep for Slow {
    dataapi_core::delegate!(Upkeep to store);
}

#[tokio::test]
async fn a_revoked_key_gets_no_page_that_the_store_was_slow_to_read() {
    let (store, pages) = (memory(), Arc::new(Semaphore::new(0)));
    for (number, role) in [(0, "ingest"), (1, "consent"), (2, "read")] {
        key(&*store, number, role, None).await;
    }
    let slow = Slow { store, pages: Arc::clone(&pages) };
    let server = Server::start(Arc::new(slow), Config::default()).await;
    consented(&server, "d").await;
    let waiting = with(&server, 2, "GET", "/data/", "");
    let revoking = async {
        sleep(A_WHILE).await;
        assert!(server.store.revoke_key(&"key-2".parse().expect("a name")).await.expect("revoked"));
        // It is refused as soon as it is known to be revoked. Until then it waits for the store.
        let known = async {
            while with(&server, 2, "GET", "/stats", "").await.status != 401 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, known).await.expect("it is known");
        pages.add_permits(1);
    };
    let (answer, ()) = tokio::join!(waiting, revoking);
    is_refused(&answer);
}

//! A wall clock that jumps back and forth by years, under a server on a file: dates never go backwards, retention
//! follows the clock, and time limits do not.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataapi_conformance::ManualClock;
use dataapi_core::{Clock, Date, DialogStore};
use dataapi_server::Config;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::patience::PATIENCE;
use crate::server::{DIALOG, Server, read};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const YEARS: Duration = Duration::from_secs(24 * 365 * 20 * 3_600);

async fn store(folder: &Path, clock: &ManualClock) -> Arc<dyn DialogStore> {
    let url = format!("sqlite:{}", folder.join("dialogs.db").display());
    let options = dataapi::OpenOptions::default().clock(Arc::new(clock.clone()));
    options.open(&url).await.expect("a store")
}

async fn start(folder: &Path, clock: &ManualClock, config: Config) -> Server {
    let config = Config { clock: Arc::new(clock.clone()), ..config };
    Server::start(store(folder, clock).await, config).await
}

/// Stores a dialog and records a grant. Returns both dates.
async fn dates(server: &Server, id: &str) -> [Date; 2] {
    let mut dates = Vec::new();
    for (target, body) in [(format!("/data/c/{id}"), DIALOG), (format!("/consents/{id}"), "true")] {
        let answer = server.post(&target, body).await;
        assert!(answer.status < 300, "{answer:?}");
        dates.push(answer.json()["date"].as_str().expect("a date").parse().expect("a date"));
    }
    dates.try_into().expect("two dates")
}

#[tokio::test]
async fn dates_go_on_and_pages_keep_their_order_wherever_the_clock_jumps() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::default();
    let (mut dialogs, mut seen) = (Vec::new(), Vec::new());
    for run in 0..2 {
        let server = start(folder.path(), &clock, Config::default()).await;
        for jump in 0..12 {
            match jump % 4 {
                0 => clock.jump_back(YEARS),
                1 => clock.advance(DAY),
                2 => clock.advance(YEARS),
                _ => clock.jump_back(DAY * 30),
            }
            let id = format!("d-{run}-{jump}");
            let [received, granted] = dates(&server, &id).await;
            seen.extend([received, granted]);
            dialogs.push((received, id));
        }
        let page = server.get("/data/?limit=1000").await.json();
        let ids = page["items"].as_array().expect("items").iter();
        let ids: Vec<_> = ids.map(|item| item["dialog_id"].as_str().expect("an id")).collect();
        let mut newest_first = dialogs.clone();
        newest_first.sort_by(|one, other| other.cmp(one));
        assert_eq!(ids, newest_first.iter().map(|(_, id)| id).collect::<Vec<_>>());
        server.ended().await;
        // The next run begins at an earlier time than this one did.
        clock.jump_back(YEARS * 2);
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.first() < seen.last(), "dates go forward");
}

/// Waits until this many dialogs are pending.
async fn has_pending(store: &dyn DialogStore, count: u64) {
    let started = Instant::now();
    while store.stats().await.expect("counts").pending != count {
        assert!(started.elapsed() < PATIENCE, "the count never becomes {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn retention_goes_by_what_the_clock_shows_and_never_by_how_it_came_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::default();
    let start_of_test = clock.now();
    let config = Config {
        purge_pending_after: Some(Duration::from_secs(10)),
        retain_consented: Some(DAY),
        ..Config::default()
    };
    let server = start(folder.path(), &clock, config).await;
    let [granted, _] = dates(&server, "granted").await;
    assert_eq!(server.post("/data/c/pending", DIALOG).await.status, 201);

    // However far the clock jumps back, nothing becomes older. Retention runs every second.
    for back in [Duration::from_secs(1), YEARS, YEARS * 1_000] {
        clock.jump_back(back);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(server.store.stats().await.expect("counts").pending, 1, "{back:?}");
    }
    clock.set(start_of_test.saturating_add(Duration::from_secs(5)));
    assert_eq!(server.get("/consents/pending").await.json()["consent"], "pending");

    // Forward: dialogs whose time is over are erased, and no others.
    clock.set(granted.saturating_add(Duration::from_secs(60)));
    has_pending(&*server.store, 0).await;
    assert_eq!(server.get("/consents/pending").await.json()["consent"], "erased");
    assert_eq!(server.get("/data/c/granted").await.status, 200, "it is kept for a day");
    assert_eq!(server.post("/data/c/late", DIALOG).await.status, 201);
    clock.set(Date::MAX);
    has_pending(&*server.store, 0).await;
    assert_eq!(server.post("/data/c/last", DIALOG).await.status, 201, "dialogs are still accepted");
    clock.set(start_of_test);
    assert_eq!(server.post("/consents/last", "true").await.status, 200);
    assert_eq!(server.get("/data/c/last").await.status, 200);
    server.ended().await;
}

#[tokio::test]
async fn who_waits_is_kept_waiting_by_no_jump_and_cut_by_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = ManualClock::default();
    let server = start(folder.path(), &clock, Config::default()).await;
    let mut begun = server.connect().await;
    let head = "POST /data/c/slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 28\r\n\r\n";
    begun.write_all(head.as_bytes()).await.expect("the head is sent");
    let waiting = server.get("/changes?wait=60s");
    let mut waiting = std::pin::pin!(waiting);
    for jump in 0..4 {
        if jump % 2 == 0 {
            clock.advance(YEARS);
        } else {
            clock.jump_back(YEARS * 2);
        }
        let early = timeout(Duration::from_millis(300), &mut waiting).await;
        assert!(early.is_err(), "a jump does not end the wait: {early:?}");
    }
    begun.write_all(DIALOG.as_bytes()).await.expect("the body is sent");
    assert_eq!(read(&mut begun).await.status, 201);
    assert_eq!(server.post("/consents/slow", "true").await.status, 200);
    let answer = timeout(PATIENCE, waiting).await.expect("the event comes");
    assert_eq!(answer.json()["events"].as_array().expect("events").len(), 1);
}

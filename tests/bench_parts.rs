//! Tests the parts of the bench `limits` that a wrong figure would not give away.

#![allow(dead_code, reason = "the bench uses more of its files")]
#![allow(clippy::cast_precision_loss, reason = "figures are shown with three digits")]

#[path = "../benches/limits/data.rs"]
mod data;
#[path = "../benches/limits/markers.rs"]
mod markers;
#[path = "../benches/limits/outcome.rs"]
mod outcome;
#[path = "../benches/limits/pace.rs"]
mod pace;
#[path = "../benches/limits/tally.rs"]
mod tally;

use std::io::Read;
use std::time::Duration;

use data::{MARKER_AT, Space, number_of};
use markers::Markers;
use pace::{Schedule, pace};
use tally::Tally;
use tokio::sync::Semaphore;
use tokio::time::Instant;

const WITHDRAWN: Space = Space::in_order(2);

#[test]
fn requests_are_due_one_period_after_the_other() {
    let started = Instant::now();
    let schedule = Schedule::new(started, 1_000.0, 2.0);
    assert_eq!(schedule.total(), 2_000);
    assert_eq!(schedule.due(0), started);
    assert_eq!(schedule.due(1_500), started + Duration::from_millis(1_500));
    assert_eq!(schedule.due_by(started), 1);
    assert_eq!(schedule.due_by(started + Duration::from_micros(10_500)), 11);
    assert_eq!(schedule.due_by(started + Duration::from_secs(9)), 2_000);
}

#[tokio::test]
async fn pacing_permits_every_request_and_none_before_its_time() {
    let started = Instant::now();
    let schedule = Schedule::new(started, 5_000.0, 0.2);
    let due = Semaphore::new(0);
    let taken = async {
        for number in 0..schedule.total() {
            due.acquire().await.unwrap().forget();
            assert!(Instant::now() >= schedule.due(number));
        }
    };
    let (paced, ()) = tokio::join!(pace(schedule, &due), taken);
    paced.unwrap();
    assert_eq!(due.available_permits(), 0);
}

#[test]
fn percentiles_are_those_of_all_connections_together() {
    let mut all = Tally::new().unwrap();
    for connection in 0..4 {
        let mut one = Tally::new().unwrap();
        for number in (connection..1_000).step_by(4) {
            one.succeeded();
            one.record(Duration::from_millis(number * 3), Duration::from_micros(number + 1));
        }
        one.refused(503);
        all.add(&one).unwrap();
    }
    let seen = all.seen();
    assert_eq!((seen.count, seen.all, seen.errors[&503]), (1_000, 1_000, 4));
    let near = |figure: f64, expected: f64| (figure - expected).abs() <= expected / 500.0;
    assert!(near(seen.p50_ms, 0.5), "{}", seen.p50_ms);
    assert!(near(seen.p99_ms, 0.99), "{}", seen.p99_ms);
    assert!(near(seen.p999_ms, 0.999), "{}", seen.p999_ms);
    assert!(near(seen.max_ms, 1.0), "{}", seen.max_ms);
    let counts: Vec<_> = seen.by_second.iter().map(|second| second.count).collect();
    assert_eq!(counts, [334, 333, 333]);
    assert!((seen.by_second[2].worst_ms - 1.0).abs() < 1e-9);
}

#[test]
fn ids_in_order_sort_like_their_numbers_and_tell_them() {
    let ids: Vec<_> = [0, 1, 2, 65_535, 65_536, 4_000_000].map(|n| WITHDRAWN.id(n)).into();
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.len() == 36));
    let start = ids[5].as_bytes()[..MARKER_AT].try_into().unwrap();
    assert_eq!(number_of(start), Some(4_000_000));
    assert!(*ids.last().unwrap() < Space::in_order(3).id(0), "spaces sort as well");
}

#[test]
fn ids_that_must_be_gone_are_found_and_no_others() {
    let mut bytes = Vec::new();
    // Ids are far apart and close together, and in some of them a read ends.
    for number in 0..3_000 {
        bytes.extend(vec![b'x'; usize::try_from(number % 500).unwrap()]);
        for space in [WITHDRAWN, Space::in_order(3), Space(2)] {
            bytes.extend(space.id(number).bytes());
        }
    }
    let count = |odd, end, most| {
        let from = Short { bytes: &bytes, most };
        Markers::of(WITHDRAWN, odd).count(from, end, &mut Vec::new()).unwrap()
    };
    for most in [7, 1_000, usize::MAX] {
        assert_eq!(count(false, 3_000, most), 3_000);
        assert_eq!(count(false, 100, most), 100);
        assert_eq!(count(true, 3_000, most), 1_500);
        assert_eq!(count(false, 0, most), 0);
    }
}

#[test]
fn a_marked_text_has_its_id_and_other_texts_have_not() {
    let id = WITHDRAWN.id(7);
    assert!(WITHDRAWN.marked_dialog(7).text.as_str().contains(&id));
    assert!(!WITHDRAWN.dialog(7).text.as_str().contains(&id));
}

/// Reads at most some bytes at once.
struct Short<'a> {
    bytes: &'a [u8],
    most: usize,
}

impl Read for Short<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let most = to.len().min(self.most);
        self.bytes.read(&mut to[..most])
    }
}

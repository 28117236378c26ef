//! Inserts alone: as fast as they go, and at a share of that rate.

use std::time::Duration;

use crate::data::{self, Space};
use crate::load::Spec;
use crate::outcome::Outcome;
use crate::process::written_bytes;
use crate::raw::Raw;
use crate::report::Goal;
use crate::sustained::disk;
use crate::sustained::results::Results;
use crate::sustained::stage::{FRESH, SHARE, Stage};
use crate::tally::Seen;

const CLOSED: &str = "inserts, closed loop";
const OPEN: &str = "inserts alone at 80 %";
const ONE: &str = "inserts, 1 connection";
const RANDOM: &str = "inserts, ids at random, closed loop";
const RAW_64: &str = "SQLite, 64 inserts a transaction";
const RAW_1: &str = "SQLite, 1 insert a transaction";
const RAW_RANDOM: &str = "SQLite, 64 inserts a transaction, ids at random";
const DISK: &str = "fdatasync of 48 KiB";

const WRITTEN: (&str, &str) = ("bytes written for a byte of content", "");

const FRESH_AT_RANDOM: Space = Space(4);
/// How long the disk alone is measured, as a share of a load's time.
const DISK_SHARE: f64 = 0.2;

pub(crate) fn measure(stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
    if results.wants(&[CLOSED, OPEN, ONE, RANDOM]) {
        let time = Duration::from_secs_f64(stage.bench.args.seconds * DISK_SHARE);
        let disk = disk::synced_writes(stage.bench.folder.path(), time)?;
        results.load(DISK, None, &disk);
    }
    if results.wants(&[CLOSED, OPEN]) {
        grouped(stage, results)?;
    }
    if results.wants(&[ONE]) {
        one(stage, results)?;
    }
    if results.wants(&[RANDOM]) {
        let raw = raw(stage, results, FRESH_AT_RANDOM, 64, RAW_RANDOM)?;
        let seen = closed(stage, results, FRESH_AT_RANDOM, RANDOM, None)?;
        let ratio = seen.per_second / (raw.per_second * 64.0);
        results.figure(RANDOM, ("of SQLite", ""), ratio, None);
    }
    data::remove(&stage.store)
}

fn grouped(stage: &mut Stage<'_>, results: &mut Results) -> Outcome<()> {
    let raw = raw(stage, results, FRESH, 64, RAW_64)?;
    if results.wants(&[CLOSED]) {
        let seen = closed(stage, results, FRESH, CLOSED, Some(Goal::AtMost(10.0)))?;
        stage.found_insert_rate(seen.per_second);
        let ratio = seen.per_second / (raw.per_second * 64.0);
        results.figure(CLOSED, ("of SQLite", ""), ratio, Some(Goal::AtLeast(0.66)));
    }
    if results.wants(&[OPEN]) {
        let rate = stage.insert_rate()? * SHARE;
        let server = stage.serve_empty()?;
        let seen = Spec { rate: Some(rate), ..stage.inserts(server.address, FRESH) }.run()?;
        results.load(OPEN, Some(rate), &seen);
        let p99 = stage.of_reference(seen.p99_ms);
        results.figure(OPEN, ("p99, of the reference", ""), p99, Some(Goal::AtMost(3.0)));
        results.figure(OPEN, ("p99.9", "ms"), seen.p999_ms, Some(Goal::AtMost(10.0)));
        let max = seen.max_ms / raw.max_ms;
        results.figure(OPEN, ("maximum, of SQLite's", ""), max, Some(Goal::AtMost(2.0)));
    }
    Ok(())
}

fn one(stage: &Stage<'_>, results: &mut Results) -> Outcome<()> {
    let raw = raw(stage, results, FRESH, 1, RAW_1)?;
    let server = stage.serve_empty()?;
    let seen = Spec { connections: 1, ..stage.inserts(server.address, FRESH) }.run()?;
    results.load(ONE, None, &seen);
    let tail = seen.p99_ms / seen.p50_ms;
    results.figure(ONE, ("p99, of its p50", ""), tail, Some(Goal::AtMost(3.0)));
    let ratio = seen.per_second / raw.per_second;
    results.figure(ONE, ("of SQLite", ""), ratio, Some(Goal::AtLeast(0.5)));
    Ok(())
}

/// Measures SQLite alone. Returns the latencies of its transactions.
fn raw(
    stage: &Stage<'_>,
    results: &mut Results,
    space: Space,
    together: u32,
    row: &'static str,
) -> Outcome<Seen> {
    let mut raw = Raw::open(stage.new_store()?)?;
    let before = written_bytes("self")?;
    let seen = raw.timed_inserts(space, together, stage.bench.args.seconds)?;
    let written = written_bytes("self")? - before;
    results.load(row, None, &seen);
    let content = content_bytes(seen.all * u64::from(together));
    results.figure(row, WRITTEN, written as f64 / content, None);
    Ok(seen)
}

/// Measures inserts as fast as they go, and what the server writes from their start to their end.
fn closed(
    stage: &Stage<'_>,
    results: &mut Results,
    space: Space,
    row: &'static str,
    written_goal: Option<Goal>,
) -> Outcome<Seen> {
    let server = stage.serve_empty()?;
    let before = server.written_bytes()?;
    let seen = stage.inserts(server.address, space).run()?;
    let written = server.written_bytes()? - before;
    results.load(row, None, &seen);
    results.figure(row, WRITTEN, written as f64 / content_bytes(seen.all), written_goal);
    Ok(seen)
}

fn content_bytes(dialogs: u64) -> f64 {
    (0..dialogs).map(data::content_bytes).sum::<u64>() as f64
}

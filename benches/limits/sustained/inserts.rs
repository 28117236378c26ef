//! Inserts: as fast as they go, and at a share of that rate.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::bench::Bench;
use crate::data::{self, Space};
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::process::written_bytes;
use crate::raw::Raw;
use crate::report::Goal;
use crate::sustained::disk;
use crate::sustained::results::Results;
use crate::tally::Seen;

const CLOSED: &str = "inserts, closed loop";
const OPEN: &str = "inserts at 80 %";
const ONE: &str = "inserts, 1 connection";
const RANDOM: &str = "inserts, ids at random, closed loop";

const FRESH: Space = Space::in_order(3);
const FRESH_AT_RANDOM: Space = Space(4);
const WARM_UP: f64 = 2.0;
const SHARE: f64 = 0.8;
/// How long the disk alone is measured, as a share of a load's time.
const DISK_SHARE: f64 = 0.1;

pub(crate) struct Inserts<'b> {
    bench: &'b Bench,
    empty: PathBuf,
    /// The path of the measured store, which is made again for each measurement.
    store: PathBuf,
}

impl<'b> Inserts<'b> {
    pub(crate) fn prepare(bench: &'b Bench) -> Outcome<Self> {
        let [empty, store] = ["empty.db", "measured.db"].map(|name| bench.folder.path().join(name));
        bench.runtime.block_on(data::build(&empty, 0, 0))?;
        Ok(Self { bench, empty, store })
    }

    pub(crate) fn measure(&mut self, results: &mut Results) -> Outcome<()> {
        if !results.wants(&[CLOSED, OPEN, ONE, RANDOM]) {
            return Ok(());
        }
        let time = Duration::from_secs_f64(self.bench.args.seconds * DISK_SHARE);
        let disk = disk::synced_writes(self.bench.folder.path(), time)?;
        results.load("fdatasync of 48 KiB", None, &disk);
        let raw = if results.wants(&[CLOSED, OPEN]) {
            Some(self.raw(results, FRESH, 64, "SQLite, 64 inserts a transaction")?)
        } else {
            None
        };
        let mut rate = self.bench.args.insert_rate;
        if results.wants(&[CLOSED]) || (rate.is_none() && results.wants(&[OPEN])) {
            let seen = self.closed(results, CLOSED, FRESH)?;
            rate = rate.or(Some(seen.per_second));
            if let Some(raw) = &raw {
                let ratio = seen.per_second / (raw.per_second * 64.0);
                results.figure(CLOSED, ("of SQLite", ""), ratio, Some(Goal::AtLeast(0.66)));
            }
        }
        if let (Some(rate), true) = (rate, results.wants(&[OPEN])) {
            let seen = self.open(results, rate * SHARE)?;
            let reference = self.bench.args.reference_p50_ms;
            let p99 = seen.p99_ms / reference;
            results.figure(OPEN, ("p99, of the reference", ""), p99, Some(Goal::AtMost(3.0)));
            results.figure(OPEN, ("p99.9", "ms"), seen.p999_ms, Some(Goal::AtMost(10.0)));
            if let Some(raw) = &raw {
                let ratio = seen.max_ms / raw.max_ms;
                results.figure(OPEN, ("max, of SQLite's", ""), ratio, Some(Goal::AtMost(2.0)));
            }
        }
        if results.wants(&[ONE]) {
            let raw = self.raw(results, FRESH, 1, "SQLite, 1 insert a transaction")?;
            let server = self.bench.programs.serve(self.anew(&self.empty)?)?;
            let seen = Spec { connections: 1, ..self.spec(server.address, FRESH) }.run()?;
            results.load(ONE, None, &seen);
            let tail = seen.p99_ms / seen.p50_ms;
            results.figure(ONE, ("p99, of its p50", ""), tail, Some(Goal::AtMost(3.0)));
            let ratio = seen.per_second / raw.per_second;
            results.figure(ONE, ("of SQLite", ""), ratio, Some(Goal::AtLeast(0.5)));
        }
        if results.wants(&[RANDOM]) {
            self.closed(results, RANDOM, FRESH_AT_RANDOM)?;
        }
        data::remove(&self.store)
    }

    /// Measures SQLite alone. Returns the latencies of its transactions.
    fn raw(&self, results: &mut Results, space: Space, together: u32, name: &str) -> Outcome<Seen> {
        let mut raw = Raw::open(self.anew(&self.empty)?)?;
        let before = written_bytes("self")?;
        let seen = raw.timed_inserts(space, together, self.bench.args.seconds)?;
        let written = written_bytes("self")? - before;
        results.load(name, None, &seen);
        let content = content_bytes(seen.all * u64::from(together));
        let per_byte = written as f64 / content;
        results.figure("SQLite", ("bytes written for a byte of content", ""), per_byte, None);
        Ok(seen)
    }

    fn closed(&self, results: &mut Results, row: &'static str, space: Space) -> Outcome<Seen> {
        let server = self.bench.programs.serve(self.anew(&self.empty)?)?;
        let before = server.written_bytes()?;
        let seen = self.spec(server.address, space).run()?;
        let written = server.written_bytes()? - before;
        results.load(row, None, &seen);
        let per_byte = written as f64 / content_bytes(seen.all);
        let goal = Some(Goal::AtMost(10.0));
        results.figure(row, ("bytes written for a byte of content", ""), per_byte, goal);
        Ok(seen)
    }

    fn open(&self, results: &mut Results, rate: f64) -> Outcome<Seen> {
        let server = self.bench.programs.serve(self.anew(&self.empty)?)?;
        let seen = Spec { rate: Some(rate), ..self.spec(server.address, FRESH) }.run()?;
        results.load(OPEN, Some(rate), &seen);
        Ok(seen)
    }

    fn spec(&self, address: std::net::SocketAddr, space: Space) -> Spec {
        let requests = Requests::Insert { space: space.0 };
        Spec { warm_up: WARM_UP, ..Spec::new(address, self.bench.args.seconds, requests) }
    }

    /// Makes the measured store again, as a copy of the store at `from`.
    fn anew(&self, from: &Path) -> Outcome<&Path> {
        data::remove(&self.store)?;
        data::copy(from, &self.store)?;
        Ok(&self.store)
    }
}

fn content_bytes(dialogs: u64) -> f64 {
    (0..dialogs).map(data::content_bytes).sum::<u64>() as f64
}

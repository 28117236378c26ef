//! The stores, the server and the rates that all sustained loads share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bench::Bench;
use crate::data::{self, Space};
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::product::Server;

/// How long requests are sent before they are counted, in seconds.
pub(crate) const WARM_UP: f64 = 2.0;
/// The part of the full rate at which latencies are measured.
pub(crate) const SHARE: f64 = 0.8;
/// The part of the full rate of inserts that go on beside something else.
pub(crate) const HALF: f64 = 0.5;
/// A rate that is only needed for other rows is measured for this part of the time.
pub(crate) const RATE_SHARE: f64 = 1.0 / 3.0;
/// How much longer a load continues that another one is measured beside, in seconds.
pub(crate) const LONGER: f64 = 1.0;

/// How long the disk rests before a measurement, after all is written.
const QUIET: Duration = Duration::from_secs(3);

/// The space of new dialogs.
pub(crate) const FRESH: Space = Space::in_order(3);

pub(crate) struct Stage<'b> {
    pub(crate) bench: &'b Bench,
    empty: PathBuf,
    /// The path of the measured store, which is made again for each measurement.
    pub(crate) store: PathBuf,
    /// How many inserts a second this round's server does at most.
    insert_rate: Option<f64>,
}

impl<'b> Stage<'b> {
    pub(crate) fn prepare(bench: &'b Bench) -> Outcome<Self> {
        let [empty, store] = ["empty.db", "measured.db"].map(|name| bench.folder.path().join(name));
        bench.runtime.block_on(data::build(&empty, 0, 0))?;
        Ok(Self { bench, empty, store, insert_rate: None })
    }

    pub(crate) fn begin_round(&mut self) {
        self.insert_rate = self.bench.args.insert_rate;
    }

    /// Keeps the rate of a closed loop for the other rows, unless the command line says which one to use.
    pub(crate) fn found_insert_rate(&mut self, rate: f64) {
        self.insert_rate.get_or_insert(rate);
    }

    pub(crate) fn insert_rate(&mut self) -> Outcome<f64> {
        if let Some(rate) = self.insert_rate {
            return Ok(rate);
        }
        let server = self.serve_empty()?;
        let seconds = self.bench.args.seconds * RATE_SHARE;
        let rate = Spec { seconds, ..self.inserts(server.address, FRESH) }.run()?.per_second;
        eprintln!("  all inserts that the server does: {rate:.0}/s");
        Ok(*self.insert_rate.insert(rate))
    }

    /// Starts the server on a new store.
    pub(crate) fn serve_empty(&self) -> Outcome<Server> {
        self.serve_copy(&self.empty)
    }

    /// Starts the server on a copy of a store.
    pub(crate) fn serve_copy(&self, of: &Path) -> Outcome<Server> {
        data::copy(of, &self.store)?;
        settle()?;
        let within = format!("{}ms", (self.bench.args.erase_within * 1_000.0).round());
        self.bench.programs.serve_with(&self.store, &["--erase-within", &within])
    }

    /// A new store that no server has open.
    pub(crate) fn new_store(&self) -> Outcome<&Path> {
        data::copy(&self.empty, &self.store)?;
        settle()?;
        Ok(&self.store)
    }

    /// A load of as many inserts as the server does.
    pub(crate) fn inserts(&self, address: SocketAddr, space: Space) -> Spec {
        self.load(address, Requests::Insert { space: space.0 })
    }

    pub(crate) fn load(&self, address: SocketAddr, requests: Requests) -> Spec {
        Spec { warm_up: WARM_UP, ..Spec::new(address, self.bench.args.seconds, requests) }
    }

    /// How often a latency has the reference, which goals are multiples of.
    pub(crate) fn of_reference(&self, millis: f64) -> f64 {
        millis / self.bench.args.reference_p50_ms
    }
}

/// Waits until the disk has dealt with what was written and removed before: else the next measurement waits with it.
fn settle() -> Outcome<()> {
    let status = Command::new("sync").status()?;
    std::thread::sleep(QUIET);
    if status.success() { Ok(()) } else { Err("sync failed".into()) }
}

//! Measures inserts and decisions: the server over loopback and the library, each against SQLite alone.

use std::path::{Path, PathBuf};

use dataapi::{Decision, Dialogs, Evidence};
use futures_util::future::try_join_all;

use crate::bench::Bench;
use crate::data::{self, PENDING, Space};
use crate::load::{Answer, Requests, Spec};
use crate::outcome::Outcome;
use crate::raw::{Raw, repeat};
use crate::report::{
    INSERT_LIBRARY, INSERT_LIBRARY_1000, NO_64, NO_EMPTIED, NO_LIBRARY, NO_SCRUBBED, POST_1,
    POST_64, POST_64_TAIL, POST_BUSY, POST_WIRE, Report, YES_64, YES_LIBRARY,
};
use crate::tally::Seen;
use crate::wire::Wire;

const INSERTS: [&str; 6] =
    [POST_64, POST_64_TAIL, POST_1, POST_WIRE, INSERT_LIBRARY, INSERT_LIBRARY_1000];
const DECISIONS: [&str; 5] = [YES_64, NO_64, NO_EMPTIED, YES_LIBRARY, NO_LIBRARY];
/// The rows that show the cost of erasure to the byte.
const SCRUBS: [&str; 2] = [NO_SCRUBBED, POST_BUSY];

/// An erasure delay that is longer than any measurement.
const UNSCRUBBED: [&str; 2] = ["--erase-within", "1d"];
const BUSY_WITHDRAWALS_A_SECOND: f64 = 1_000.0;
/// How much longer than the posts the withdrawals continue, in seconds.
const BUSY_LONGER: f64 = 1.0;

/// More decisions a second than any of the measurements makes.
const DECISIONS_A_SECOND: f64 = 30_000.0;

/// The space of new dialogs.
const FRESH: Space = Space(3);

pub(crate) struct Writes<'b> {
    bench: &'b Bench,
    empty: PathBuf,
    undecided: PathBuf,
    /// How many dialogs there are for grants, and as many for withdrawals.
    each: u64,
    /// The path of the measured store, which is made again for each measurement.
    store: PathBuf,
}

impl<'b> Writes<'b> {
    pub(crate) fn prepare(bench: &'b Bench, report: &Report) -> Outcome<Self> {
        let [empty, undecided, store] =
            ["empty.db", "undecided.db", "measured.db"].map(|name| bench.folder.path().join(name));
        bench.runtime.block_on(data::build(&empty, 0, 0))?;
        let each = whole(DECISIONS_A_SECOND * bench.args.seconds);
        if report.wants(&DECISIONS) || report.wants(&SCRUBS) {
            eprintln!("building a store of {} pending dialogs", 2 * each);
            bench.runtime.block_on(data::build(&undecided, 0, 2 * each))?;
        }
        Ok(Self { bench, empty, undecided, each, store })
    }

    pub(crate) fn measure(&self, report: &mut Report) -> Outcome<()> {
        if report.wants(&INSERTS) {
            self.inserts(report)?;
        }
        if report.wants(&DECISIONS) {
            self.decisions(report)?;
        }
        if report.wants(&SCRUBS) {
            self.scrubs(report)?;
        }
        data::remove(&self.store)
    }

    fn inserts(&self, report: &mut Report) -> Outcome<()> {
        if report.wants(&[POST_64, POST_64_TAIL, POST_WIRE, INSERT_LIBRARY]) {
            let raw = self.raw_inserts(64)?;
            let seen = self.posts(64)?;
            report.add(POST_64, raw, seen.per_second);
            report.add(POST_64_TAIL, seen.p50_ms, seen.p99_ms);
            if report.wants(&[INSERT_LIBRARY]) {
                report.add(INSERT_LIBRARY, raw, self.library_inserts(64)?);
            }
            if report.wants(&[POST_WIRE]) {
                let wire = Wire::serve(self.bench.folder.path(), b"")?;
                let limit = self.send(wire.address, 64)?;
                report.add(POST_WIRE, limit.per_second, seen.per_second);
            }
        }
        if report.wants(&[POST_1]) {
            report.add(POST_1, self.raw_inserts(1)?, self.posts(1)?.per_second);
        }
        if report.wants(&[INSERT_LIBRARY_1000]) {
            let raw = self.raw_inserts(1_000)?;
            report.add(INSERT_LIBRARY_1000, raw, self.library_inserts(1_000)?);
        }
        Ok(())
    }

    fn raw_inserts(&self, together: u32) -> Outcome<f64> {
        let mut raw = Raw::open(self.anew(&self.empty)?)?;
        raw.inserts(FRESH, together, self.bench.args.seconds)
    }

    fn posts(&self, connections: usize) -> Outcome<Seen> {
        let server = self.bench.programs.serve(self.anew(&self.empty)?)?;
        self.send(server.address, connections)
    }

    fn send(&self, address: std::net::SocketAddr, connections: usize) -> Outcome<Seen> {
        let requests = Requests::Insert { space: FRESH.0 };
        let spec = Spec::new(address, self.bench.args.seconds, requests);
        Spec { connections, ..spec }.run()
    }

    fn library_inserts(&self, together: u32) -> Outcome<f64> {
        let (runtime, together) = (&self.bench.runtime, u64::from(together));
        let store = data::open(self.anew(&self.empty)?)?;
        let rounds = repeat(self.bench.args.seconds, |round| {
            let numbers = round * together..(round + 1) * together;
            let inserts = numbers.map(|number| store.insert(FRESH.dialog(number)));
            runtime.block_on(try_join_all(inserts))?;
            Ok(())
        })?;
        Ok(rounds * together as f64)
    }

    fn decisions(&self, report: &mut Report) -> Outcome<()> {
        let [granted, withdrawn] = [(0, self.each), (self.each, 2 * self.each)];
        let kinds = [
            (true, Answer::Yes, granted, YES_64, YES_LIBRARY),
            (false, Answer::No, withdrawn, NO_64, NO_LIBRARY),
        ];
        for (is_yes, answer, (from, to), served, embedded) in kinds {
            let with_ceiling = !is_yes && report.wants(&[NO_EMPTIED]);
            if !report.wants(&[served, embedded]) && !with_ceiling {
                continue;
            }
            let seconds = self.bench.args.seconds;
            let decide = |mut raw: Raw| raw.decisions((PENDING, from, to), is_yes, 32, seconds);
            let limit = decide(Raw::open(self.anew(&self.undecided)?)?)?;
            if with_ceiling {
                let erasing = Raw::open(self.anew(&self.undecided)?)?.erasing();
                report.add(NO_EMPTIED, limit, decide(erasing)?);
            }
            if report.wants(&[served]) {
                let server = self.bench.programs.serve(self.anew(&self.undecided)?)?;
                let requests = Requests::Decide { space: PENDING.0, from, to, answer };
                let spec = Spec::new(server.address, self.bench.args.seconds, requests);
                // Each id can be decided on once, so there are none for a warm-up.
                let seen = Spec { warm_up: 0.0, ..spec }.run()?;
                report.add(served, limit, seen.per_second);
            }
            if report.wants(&[embedded]) {
                report.add(embedded, limit, self.library_decisions(is_yes, from, to)?);
            }
        }
        Ok(())
    }

    fn scrubs(&self, report: &mut Report) -> Outcome<()> {
        let withdrawals = |address, seconds, rate| Spec {
            warm_up: 0.0,
            rate,
            ..Spec::new(
                address,
                seconds,
                Requests::Decide { space: PENDING.0, from: 0, to: self.each, answer: Answer::No },
            )
        };
        if report.wants(&[NO_SCRUBBED]) {
            let mut rates = [0.0; 2];
            for (rate, more) in rates.iter_mut().zip([&UNSCRUBBED[..], &[]]) {
                let server = self.bench.programs.serve_with(self.anew(&self.undecided)?, more)?;
                let seconds = self.bench.args.seconds;
                *rate = withdrawals(server.address, seconds, None).run()?.per_second;
            }
            report.add(NO_SCRUBBED, rates[0], rates[1]);
        }
        if report.wants(&[POST_BUSY]) {
            let server = self.bench.programs.serve(self.anew(&self.undecided)?)?;
            let alone = self.send(server.address, 64)?;
            drop(server);
            let server = self.bench.programs.serve(self.anew(&self.undecided)?)?;
            let seconds = self.bench.args.seconds + BUSY_LONGER;
            let withdrawals = Spec {
                connections: 16,
                ..withdrawals(server.address, seconds, Some(BUSY_WITHDRAWALS_A_SECOND))
            };
            let withdrawals = withdrawals.start()?;
            let busy = self.send(server.address, 64)?;
            withdrawals.finish()?;
            report.add(POST_BUSY, alone.per_second, busy.per_second);
        }
        Ok(())
    }

    fn library_decisions(&self, is_yes: bool, from: u64, to: u64) -> Outcome<f64> {
        const TOGETHER: u64 = 32;
        let decision = if is_yes { Decision::Granted } else { Decision::Withdrawn };
        let store = data::open(self.anew(&self.undecided)?)?;
        let rounds = repeat(self.bench.args.seconds, |round| {
            let first = from + round * TOGETHER;
            if first + TOGETHER > to {
                return Err("there are too few dialogs to decide on".into());
            }
            let decisions = (first..first + TOGETHER).map(|number| {
                let id = PENDING.id(number).parse().expect("the id is valid");
                store.decide(id, decision, Evidence::default())
            });
            self.bench.runtime.block_on(try_join_all(decisions))?;
            Ok(())
        })?;
        Ok(rounds * TOGETHER as f64)
    }

    /// Makes the measured store again, as a copy of the store at `from`.
    fn anew(&self, from: &Path) -> Outcome<&Path> {
        data::remove(&self.store)?;
        data::copy(from, &self.store)?;
        Ok(&self.store)
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of dialogs")]
pub(crate) fn whole(count: f64) -> u64 {
    count.ceil() as u64
}

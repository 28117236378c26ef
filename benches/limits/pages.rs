//! Measures pages from a large store: the server against a server of the same bytes, and the library against SQLite
//! alone. Also measures the time that the server takes to start, and its memory.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use dataapi::{Dialogs, Filter, Limit, PageRequest, Start, Window};

use crate::bench::Bench;
use crate::data::{self, PENDING};
use crate::load::{Answer, Requests, Spec};
use crate::outcome::Outcome;
use crate::product::Server;
use crate::raw::{Raw, repeat};
use crate::report::{
    ANY_20, ANY_100, ANY_CEILING_20, ANY_CEILING_100, ANY_LIBRARY_20, ANY_LIBRARY_100, NEWEST_20,
    NEWEST_100, NEWEST_BUSY, NEWEST_LIBRARY, OFFSET, READY, RESIDENT, Report,
};
use crate::tally::Seen;
use crate::wire::Wire;
use crate::writes::whole;

const SERVED: [&str; 10] = [
    NEWEST_100,
    NEWEST_20,
    ANY_100,
    ANY_20,
    ANY_CEILING_100,
    ANY_CEILING_20,
    NEWEST_BUSY,
    OFFSET,
    READY,
    RESIDENT,
];
const EMBEDDED: [&str; 3] = [NEWEST_LIBRARY, ANY_LIBRARY_100, ANY_LIBRARY_20];

const BUSY_DECISIONS_A_SECOND: f64 = 2_000.0;
/// How much longer than the pages the decisions continue, in seconds.
const BUSY_LONGER: f64 = 1.0;

const READY_MILLIS: f64 = 50.0;
const RESIDENT_MEGABYTES: f64 = 60.0;

/// How many cursors there are at most: more than the measurements of one server ask for.
const MOST_TARGETS: u64 = 500_000;

pub(crate) struct Pages<'b> {
    bench: &'b Bench,
    store: &'b Path,
    cursors: PathBuf,
    /// How many cursors were used already, so that two rounds do not use the same ones.
    asked: u64,
    /// How many of the pending dialogs were decided on.
    decided: u64,
}

/// How many pending dialogs the store needs, besides the consented ones.
pub(crate) fn decisions_needed(bench: &Bench) -> u64 {
    bench.args.rounds * decisions_of_a_round(bench)
}

pub(crate) fn wanted(report: &Report) -> bool {
    report.wants(&SERVED) || report.wants(&EMBEDDED)
}

fn decisions_of_a_round(bench: &Bench) -> u64 {
    whole(BUSY_DECISIONS_A_SECOND * (bench.args.seconds + BUSY_LONGER))
}

impl<'b> Pages<'b> {
    pub(crate) fn prepare(bench: &'b Bench, store: &'b Path) -> Outcome<Self> {
        let mut lines = String::new();
        for number in data::shuffled(bench.args.dialogs).take(usize::try_from(MOST_TARGETS)?) {
            writeln!(lines, "{}", data::cursor_after(number))?;
        }
        let cursors = bench.folder.path().join("cursors");
        std::fs::write(&cursors, lines)?;
        Ok(Self { bench, store, cursors, asked: 0, decided: 0 })
    }

    pub(crate) fn measure(&mut self, report: &mut Report) -> Outcome<()> {
        if report.wants(&SERVED) {
            let server = self.bench.programs.serve(self.store)?;
            report.add(READY, READY_MILLIS, server.ready_after.as_secs_f64() * 1_000.0);
            self.newest(&server, report)?;
            self.any_other(&server, report)?;
            self.offset(&server, report)?;
            self.busy(&server, report)?;
            let megabytes = server.resident_bytes() as f64 / 1e6;
            report.add(RESIDENT, RESIDENT_MEGABYTES, megabytes);
        }
        if report.wants(&EMBEDDED) {
            self.embedded(report)?;
        }
        Ok(())
    }

    fn newest(&self, server: &Server, report: &mut Report) -> Outcome<()> {
        for (row, limit) in [(NEWEST_100, 100), (NEWEST_20, 20)] {
            if report.wants(&[row]) {
                let path = format!("/data/?limit={limit}");
                let wire = Wire::serve(self.bench.folder.path(), &server.get(&path)?)?;
                let ask = || Requests::Get(path.clone());
                let limit = self.spec(wire.address, ask()).run()?;
                let product = self.spec(server.address, ask()).run()?;
                report.add(row, limit.per_second, product.per_second);
            }
        }
        Ok(())
    }

    fn any_other(&mut self, server: &Server, report: &mut Report) -> Outcome<()> {
        let pages = [(ANY_100, ANY_CEILING_100, 100), (ANY_20, ANY_CEILING_20, 20)];
        for (row, ceiling, length) in pages {
            if report.wants(&[row, ceiling]) {
                let prefix = format!("/data/?limit={length}&cursor=");
                let middle = data::cursor_after(self.bench.args.dialogs / 2);
                let page = server.get(&format!("{prefix}{middle}"))?;
                let wire = Wire::serve(self.bench.folder.path(), &page)?;
                let ask = |from| {
                    let file = self.cursors.clone();
                    Requests::Targets { prefix: prefix.clone(), file, from }
                };
                let limit = self.spec(wire.address, ask(0)).run()?;
                let product = self.spec(server.address, ask(self.asked)).run()?;
                report.add(row, limit.per_second, product.per_second);
                self.asked += product.count * 2;
                let args = &self.bench.args;
                let read =
                    Raw::cursor_pages_on_all_cores(self.store, length, args.dialogs, args.seconds)?;
                // Each of the two uses all cores for its part of a request.
                let both = 1.0 / (1.0 / limit.per_second + 1.0 / read);
                report.add(ceiling, limit.per_second, both);
            }
        }
        Ok(())
    }

    fn offset(&self, server: &Server, report: &mut Report) -> Outcome<()> {
        if report.wants(&[OFFSET]) {
            let offset = self.bench.args.dialogs / 2;
            let path = format!("/data/?limit=100&offset={offset}&total=false");
            let raw = Raw::open(self.store)?;
            let limit = raw.offset_pages(100, u32::try_from(offset)?, self.bench.args.seconds)?;
            let spec = self.spec(server.address, Requests::Get(path));
            let product = Spec { connections: 1, ..spec }.run()?;
            report.add(OFFSET, limit, product.per_second);
        }
        Ok(())
    }

    fn busy(&mut self, server: &Server, report: &mut Report) -> Outcome<()> {
        if !report.wants(&[NEWEST_BUSY]) {
            return Ok(());
        }
        let newest = self.spec(server.address, Requests::Get("/data/?limit=100".into()));
        let rest = newest.run()?;
        let (from, to) = (self.decided, self.decided + decisions_of_a_round(self.bench));
        self.decided = to;
        let requests = Requests::Decide { space: PENDING.0, from, to, answer: Answer::Both };
        let seconds = self.bench.args.seconds + BUSY_LONGER;
        let decisions = Spec {
            connections: 16,
            warm_up: 0.0,
            rate: Some(BUSY_DECISIONS_A_SECOND),
            ..Spec::new(server.address, seconds, requests)
        };
        let decisions = decisions.start()?;
        let busy = newest.run()?;
        warn_if_slow(&decisions.finish()?);
        report.add(NEWEST_BUSY, rest.per_second, busy.per_second);
        Ok(())
    }

    fn embedded(&self, report: &mut Report) -> Outcome<()> {
        let seconds = self.bench.args.seconds;
        let store = data::open(self.store)?;
        let query = |limit: u32, start: Start| {
            let window = Window { limit: Limit::new(limit.into())?, start, total: true };
            let request = PageRequest::new(Filter::default(), window)?;
            let page = self.bench.runtime.block_on(store.query(&request))?;
            std::hint::black_box(data::bytes_of(&page.items));
            Ok(())
        };
        let raw = Raw::open(self.store)?;
        if report.wants(&[NEWEST_LIBRARY]) {
            let limit = raw.newest_pages(100, seconds)?;
            report.add(NEWEST_LIBRARY, limit, repeat(seconds, |_| query(100, Start::default()))?);
        }
        for (row, length) in [(ANY_LIBRARY_100, 100), (ANY_LIBRARY_20, 20)] {
            if report.wants(&[row]) {
                let limit = raw.cursor_pages(length, self.bench.args.dialogs, seconds)?;
                let mut places = data::shuffled(self.bench.args.dialogs).cycle();
                let product = repeat(seconds, |_| {
                    let start = data::cursor_after(places.next().unwrap_or(0));
                    query(length, Start::After(start))
                })?;
                report.add(row, limit, product);
            }
        }
        Ok(())
    }

    fn spec(&self, address: std::net::SocketAddr, requests: Requests) -> Spec {
        Spec::new(address, self.bench.args.seconds, requests)
    }
}

fn warn_if_slow(decisions: &Seen) {
    if decisions.per_second < 0.95 * BUSY_DECISIONS_A_SECOND {
        let written = decisions.per_second;
        eprintln!("warning: only {written:.0} of {BUSY_DECISIONS_A_SECOND} decisions/s were made");
    }
}

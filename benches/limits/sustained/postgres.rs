//! Inserts on PostgreSQL, beside pgbench at the same rate on the same cluster.
//!
//! pgbench draws the times of its transactions at random around the rate; those of the product are evenly spaced.

use crate::bench::Bench;
use crate::load::{Requests, Spec};
use crate::outcome::Outcome;
use crate::pgbench::{INSERT, Rival};
use crate::postgres;
use crate::report::Goal;
use crate::sustained::results::Results;
use crate::sustained::stage::{FRESH, RATE_SHARE, SHARE, WARM_UP};

const AT_OWN: Row =
    Row { name: "PostgreSQL: inserts at 80 %", rival: "pgbench at 80 % of the product's rate" };
/// The product does more inserts than pgbench transactions, so pgbench cannot follow it.
const AT_RIVALS: Row = Row {
    name: "PostgreSQL: inserts at 80 % of pgbench's rate",
    rival: "pgbench at 80 % of its rate",
};

const CLIENTS: usize = 64;

#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    rival: &'static str,
}

pub(crate) fn measure(bench: &Bench, results: &mut Results) -> Outcome<()> {
    let cluster = postgres::start_cluster()?;
    let rival = Rival::new(&cluster, bench.folder.path())?;
    // Each measurement has its own empty database.
    let empty = || -> Outcome<String> {
        let url = cluster.new_database()?;
        bench.runtime.block_on(postgres::build(&url, 0))?;
        Ok(url)
    };
    let inserts = |rate: Option<f64>, seconds| -> Outcome<_> {
        let server = bench.programs.serve_url(&empty()?)?;
        let requests = Requests::Insert { space: FRESH.0 };
        Spec { warm_up: WARM_UP, rate, ..Spec::new(server.address, seconds, requests) }.run()
    };
    let seconds = bench.args.seconds;
    for round in 1..=bench.args.rounds {
        eprintln!("round {round} of {}", bench.args.rounds);
        let full = [
            inserts(None, seconds * RATE_SHARE)?.per_second,
            rival.run(&empty()?, INSERT, CLIENTS, seconds * RATE_SHARE)?,
        ];
        for (row, full) in [AT_OWN, AT_RIVALS].into_iter().zip(full) {
            if !results.wants(&[row.name]) {
                continue;
            }
            let rate = full * SHARE;
            let limit = rival.run_at(&empty()?, INSERT, CLIENTS, rate, (WARM_UP, seconds))?;
            results.load(row.rival, Some(rate), &limit);
            let seen = inserts(Some(rate), seconds)?;
            results.load(row.name, Some(rate), &seen);
            let ratio = seen.p99_ms / limit.p99_ms;
            results.figure(row.name, ("p99, of pgbench's", ""), ratio, Some(Goal::AtMost(3.0)));
        }
    }
    Ok(())
}

//! Measures latencies under a load that goes on for a minute, beside the limits of the machine.
//!
//! Throughput is that of a closed loop. Latencies are those of an open loop at a share of that throughput. Each row is
//! measured once in each round, and the raw limits with it.

mod disk;
mod inserts;
mod results;

use crate::bench::Bench;
use crate::outcome::Outcome;
use crate::report;
use results::Results;

pub(crate) fn measure(bench: &Bench) -> Outcome<()> {
    let mut results = Results::new(bench.args.only.clone());
    let mut inserts = inserts::Inserts::prepare(bench)?;
    for round in 1..=bench.args.rounds {
        eprintln!("round {round} of {}", bench.args.rounds);
        inserts.measure(&mut results)?;
    }
    println!("{}", results.loads_table());
    println!("{}", results.figures_table());
    report::write_json(&bench.results.join("sustained.json"), &results.json())?;
    println!("written: sustained.json in {}", bench.results.display());
    Ok(())
}

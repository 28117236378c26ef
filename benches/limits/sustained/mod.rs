//! Measures latencies under a load that goes on for a minute, beside the limits of the machine.
//!
//! Throughput is that of a closed loop. Latencies are those of an open loop at a share of that throughput, and count
//! from the time at which a request was due. Each row is measured once in each round, and the raw limits with it. Ids
//! are in the order of time, as most clients' are, unless a row says otherwise. The content of a dialog is its id,
//! customer, language and text; what is written for it is what Linux counts for the process during the load.

mod beside;
mod disk;
mod inserts;
mod pages;
mod postgres;
mod results;
mod stage;
mod watch;
mod withdrawals;

pub(crate) use beside::hold;

use crate::bench::Bench;
use crate::chart;
use crate::outcome::Outcome;
use crate::report;
use results::Results;

pub(crate) fn measure(bench: &Bench) -> Outcome<()> {
    if bench.args.postgres {
        let mut results = Results::new(bench.args.only.clone());
        postgres::measure(bench, &mut results)?;
        return tell(bench, &results, "sustained-postgres");
    }
    let mut results = Results::new(bench.args.only.clone());
    let mut stage = stage::Stage::prepare(bench)?;
    let withdrawals = withdrawals::Withdrawals::prepare(&stage, &results)?;
    let pages = pages::Pages::prepare(&stage, &results)?;
    let beside = beside::Beside::prepare(&stage, &results)?;
    for round in 1..=bench.args.rounds {
        eprintln!("round {round} of {}", bench.args.rounds);
        stage.begin_round();
        inserts::measure(&mut stage, &mut results)?;
        withdrawals.measure(&mut stage, &mut results)?;
        pages.measure(&mut stage, &mut results)?;
        beside.measure(&mut stage, &mut results)?;
    }
    tell(bench, &results, "sustained")
}

fn tell(bench: &Bench, results: &Results, name: &str) -> Outcome<()> {
    let folder = &bench.results;
    println!("{}", results.loads_table());
    println!("{}", results.figures_table());
    report::write_json(&folder.join(format!("{name}.json")), &results.json())?;
    chart::by_second(&folder.join(format!("{name}.svg")), &results.series())?;
    println!("written: {name}.json and {name}.svg in {}", folder.display());
    Ok(())
}

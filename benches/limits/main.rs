//! Measures DataAPI against the limits of the machine, side by side in one run.
//!
//! `cargo bench --bench limits` builds and starts the real server and the real command line. It measures each row in 3
//! rounds, the raw limit and the product in turn. Then it prints a table, and writes `limits.json` and `limits.svg` to
//! `target/limits`. For more or fewer rounds and dialogs, growth and peers, see
//! `cargo bench --bench limits -- --help`.

#![allow(clippy::cast_precision_loss, reason = "figures are shown with three digits")]

mod args;
mod bench;
mod bulk;
mod chart;
mod curve;
mod data;
mod growth;
mod load;
mod markers;
mod outcome;
mod pace;
mod pages;
mod peers;
mod pgbench;
mod postgres;
#[path = "../support/process.rs"]
mod process;
mod product;
#[path = "../support/programs.rs"]
mod programs;
mod raw;
mod report;
mod sustained;
mod tally;
mod wire;
mod writes;

use args::{Args, Part};
use bench::Bench;
use clap::Parser;
use outcome::Outcome;
use report::Report;

fn main() -> Outcome<()> {
    let args = Args::parse();
    match &args.part {
        Some(Part::Load { spec }) => load::main(spec),
        Some(Part::Wire { page }) => wire::main(page),
        Some(Part::Hold { store }) => sustained::hold(store),
        None => measure(args),
    }
}

fn measure(args: Args) -> Outcome<()> {
    let bench = Bench::prepare(args)?;
    if bench.args.growth || bench.args.growth_10m {
        return growth::measure(&bench);
    }
    if bench.args.sustained {
        return sustained::measure(&bench);
    }
    if bench.args.postgres {
        return postgres::measure(&bench);
    }
    rows(&bench)
}

/// Measures everything once in each round, so that a disturbance of the machine affects one round of all rows, and not
/// all rounds of one row.
fn rows(bench: &Bench) -> Outcome<()> {
    let mut report = Report::new(bench.args.only.clone());
    let large = bench.folder.path().join("large.db");
    if pages::wanted(&report) || bulk::wants_large_store(&report) {
        let (dialogs, pending) = (bench.args.dialogs, pages::decisions_needed(bench));
        eprintln!("building a store of {dialogs} dialogs");
        bench.runtime.block_on(data::build(&large, dialogs, pending))?;
    }
    let writes = writes::Writes::prepare(bench, &report)?;
    let mut pages = pages::Pages::prepare(bench, &large)?;
    let mut peers = peers::Peers::prepare(bench, &report)?;
    let bulk = bulk::Bulk::prepare(bench, &large, &report)?;
    for round in 1..=bench.args.rounds {
        eprintln!("round {round} of {}", bench.args.rounds);
        writes.measure(&mut report)?;
        pages.measure(&mut report)?;
        bulk.measure(&mut report)?;
        peers.measure(&mut report)?;
    }
    let rows = report.rows();
    println!("{}", report::table(&rows));
    report::write_json(&bench.results.join("limits.json"), &rows)?;
    chart::rows(&bench.results.join("limits.svg"), &rows)?;
    println!("written: limits.json and limits.svg in {}", bench.results.display());
    Ok(())
}

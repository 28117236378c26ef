//! As fast as the disk and the wire allow? What the machine can do and what DataAPI makes of it,
//! side by side in one run.
//!
//! `cargo bench --bench limits` builds and starts the real server and the real command, measures
//! each row in at least 3 rounds, the raw limit and the product in turn, prints a table, and writes
//! `limits.json` and `limits.svg` to `target/limits`. `cargo bench --bench limits -- --help` has
//! the rest: fewer dialogs, growth, peers.

#![allow(clippy::cast_precision_loss, reason = "figures are shown with three digits")]

mod args;
mod bulk;
mod chart;
mod data;
mod growth;
mod load;
mod pages;
mod peers;
mod postgres;
mod process;
mod product;
mod raw;
mod report;
mod wire;
mod writes;

use std::error::Error;
use std::path::PathBuf;

use args::{Args, Part};
use clap::Parser;
use product::Programs;
use report::Report;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args = Args::parse();
    match &args.part {
        Some(Part::Load { spec }) => load::main(spec),
        Some(Part::Wire { page }) => wire::main(page),
        None => measure(args),
    }
}

/// What all measurements share.
pub(crate) struct Bench {
    pub(crate) args: Args,
    pub(crate) programs: Programs,
    /// For the library's calls.
    pub(crate) runtime: Runtime,
    /// Where stores are: on a disk, so that an fsync is one.
    pub(crate) folder: TempDir,
    /// Where the results go.
    pub(crate) results: PathBuf,
}

fn measure(args: Args) -> Outcome<()> {
    let results = target_folder()?.join("limits");
    std::fs::create_dir_all(&results)?;
    let bench = Bench {
        args,
        programs: Programs::build()?,
        runtime: Runtime::new()?,
        folder: tempfile::Builder::new().prefix("stores-").tempdir_in(&results)?,
        results,
    };
    if bench.args.growth || bench.args.growth_10m {
        return growth::measure(&bench);
    }
    if bench.args.postgres {
        return postgres::measure(&bench);
    }
    rows(&bench)
}

/// Each round measures everything once, so that what disturbs the machine for a while disturbs a
/// round, and not a row.
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

/// Cargo puts the bench into `TARGET/release/deps`, or under another profile's name.
fn target_folder() -> Outcome<PathBuf> {
    let bench = std::env::current_exe()?;
    Ok(bench.ancestors().nth(3).ok_or("the bench does not lie in Cargo's target folder")?.into())
}

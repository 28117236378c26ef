//! Attacks the real server, and measures what other callers and the machine notice of it.
//!
//! `cargo bench --bench attacks` builds the server and starts it with its defaults, on a store with keys. For each attack
//! it measures the server's memory, the newest page of another authorised caller, and `/health/live`: while the attack
//! goes on, and again a minute after it. Then it prints a table with PASS or FAIL, and writes `attacks.json` to
//! `target/attacks`. It ends with an error if one failed. For fewer attacks and less time, see
//! `cargo bench --bench attacks -- --help`.

#![allow(clippy::cast_precision_loss, reason = "figures are shown with three digits")]

mod args;
mod attack;
mod attackers;
mod client;
mod measure;
mod outcome;
mod probe;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/programs.rs"]
mod programs;
mod report;
mod stage;

use args::{Args, Part};
use clap::Parser;
use outcome::Outcome;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Outcome<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &args.part {
        Some(Part::Attack { spec }) => attackers::main(&runtime, spec),
        // What was started is stopped when `rows` is dropped.
        None => runtime.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                done = measure::rows(args) => done,
                _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
                _ = terminated.recv() => Err("terminated".into()),
            }
        }),
    }
}

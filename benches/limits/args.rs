//! The command line of the bench, and the hidden commands by which it starts itself again.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures DataAPI and the limits of the machine side by side.
#[derive(Debug, Parser)]
#[command(name = "limits", args_conflicts_with_subcommands = true)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// How often everything is measured, the raw limit and the product in turn
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,

    /// How long each measurement takes
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    pub(crate) seconds: f64,

    /// Only the rows whose name holds this
    #[arg(long, value_name = "SUBSTRING")]
    pub(crate) only: Option<String>,

    /// How many dialogs are in the store that pages are read from, and in an import and an export
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) dialogs: u64,

    /// Measure beside the product also what users would run instead: `PocketBase`, and `FastAPI` with
    /// `PostgreSQL`; installs them where they are missing
    #[arg(long, conflicts_with_all = ["growth", "growth_10m"])]
    pub(crate) peers: bool,

    /// Measure how things grow from 10 thousand to 1 million dialogs, instead of the rows
    #[arg(long)]
    pub(crate) growth: bool,

    /// The same up to 10 million dialogs
    #[arg(long)]
    pub(crate) growth_10m: bool,

    /// Measure the product over `PostgreSQL` beside pgbench on the same cluster, instead of the rows
    #[arg(long, conflicts_with_all = ["growth", "growth_10m", "peers"])]
    pub(crate) postgres: bool,

    /// The profile of Cargo that builds the server and the command line
    #[arg(long, default_value = "dist", value_name = "NAME")]
    pub(crate) profile: String,

    /// Cargo passes it to every bench
    #[arg(long, hide = true)]
    pub(crate) bench: bool,

    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What the bench runs in processes of its own.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Part {
    /// Sends the load that the JSON describes, and prints what it saw
    #[command(hide = true)]
    Load { spec: String },
    /// Serves a page of the bytes in a file, and takes in JSON, by warp with nothing behind it
    #[command(hide = true)]
    Wire { page: PathBuf },
}

//! The command line of the bench, and the hidden commands with which it starts itself again.

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Parser, Subcommand};

/// Measures DataAPI and the limits of the machine side by side.
#[derive(Debug, Parser)]
#[command(name = "limits", args_conflicts_with_subcommands = true)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// How many rounds to measure; each measures the raw limits and the product in turn
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,

    /// How long each measurement takes, in seconds; 60 with --sustained
    #[arg(long, default_value_t = 3.0, value_name = "N")]
    #[arg(default_value_if("sustained", ArgPredicate::IsPresent, "60"), hide_default_value = true)]
    pub(crate) seconds: f64,

    /// Measure only the rows whose name contains this, ignoring case
    #[arg(long, value_name = "SUBSTRING")]
    pub(crate) only: Option<String>,

    /// How many dialogs the store for pages and exports has, and how many are imported
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..))]
    pub(crate) dialogs: u64,

    /// Also measure what users would run instead: `PocketBase`, and `FastAPI` with `PostgreSQL`; installs
    /// them if they are missing
    #[arg(long, conflicts_with_all = ["growth", "growth_10m"])]
    pub(crate) peers: bool,

    /// Measure how time, memory and files grow from 10 thousand to 1 million dialogs, instead of the rows
    #[arg(long)]
    pub(crate) growth: bool,

    /// Like --growth, up to 10 million dialogs
    #[arg(long)]
    pub(crate) growth_10m: bool,

    /// Measure the product on `PostgreSQL` and pgbench on the same cluster, instead of the rows
    #[arg(long, conflicts_with_all = ["growth", "growth_10m", "peers"])]
    pub(crate) postgres: bool,

    /// Measure latencies under a load that goes on for a minute, instead of the rows
    #[arg(long, conflicts_with_all = ["growth", "growth_10m", "peers"])]
    pub(crate) sustained: bool,

    /// With --sustained, how many inserts per second are all that the server can do; measured if left out. With it, two
    /// builds get the same load
    #[arg(long, value_name = "N", requires = "sustained")]
    pub(crate) insert_rate: Option<f64>,

    /// The same for decisions, half of them withdrawals
    #[arg(long, value_name = "N", requires = "sustained")]
    pub(crate) decision_rate: Option<f64>,

    /// With --sustained, the erasure delay of the server, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub(crate) erase_within: f64,

    /// With --sustained, the size that the server keeps its log below, in megabytes
    #[arg(long, default_value_t = 76.0, value_name = "N")]
    pub(crate) log_limit_mb: f64,

    /// With --sustained, the median latency of inserts that goals are multiples of, in milliseconds
    #[arg(long, default_value_t = 2.1, value_name = "N")]
    pub(crate) reference_p50_ms: f64,

    /// The profile of Cargo that builds the server and the command line
    #[arg(long, default_value = "dist", value_name = "NAME")]
    pub(crate) profile: String,

    /// Measure this server, and build nothing
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,

    /// With --server, the command line; by default the program `dataapi` beside the server
    #[arg(long, value_name = "PATH", requires = "server")]
    pub(crate) cli: Option<PathBuf>,

    /// Cargo passes this to every bench
    #[arg(long, hide = true)]
    pub(crate) bench: bool,

    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What the bench runs in separate processes.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Part {
    /// Sends the load that the JSON describes, and prints what it measured
    #[command(hide = true)]
    Load { spec: String },
    /// Serves the bytes of a file and accepts JSON, with warp and nothing behind it
    #[command(hide = true)]
    Wire { page: PathBuf },
    /// Holds a snapshot of a store for a while, again and again
    #[command(hide = true)]
    Hold { store: PathBuf },
}

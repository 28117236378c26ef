//! The command line of the bench, and the hidden command with which it starts itself again.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::attack::Transport;

/// Attacks the server, and measures what others notice of it.
#[derive(Debug, Parser)]
#[command(name = "attacks", args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Only the attacks of this name, or whose names begin with it
    #[arg(long, value_name = "NAME")]
    pub(crate) attack: Option<String>,

    /// Only the attacks over this transport
    #[arg(long, value_enum)]
    pub(crate) transport: Option<Transport>,

    /// How long each attack goes on once all its connections were opened, in seconds [default: 20, or 8 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,

    /// Attack for 8 seconds, and look at the server 5 seconds after the attack instead of a minute
    #[arg(long)]
    pub(crate) quick: bool,

    /// A server that is already built, of this version or another
    #[arg(long, value_name = "PATH")]
    pub(crate) server: Option<PathBuf>,

    /// The profile of Cargo that builds the server
    #[arg(long, default_value = "dist", value_name = "NAME", conflicts_with = "server")]
    pub(crate) profile: String,

    /// Cargo passes this to every bench
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What the bench runs in a separate process.
#[derive(Debug, Subcommand)]
#[command(hide = true)]
pub(crate) enum Part {
    /// Attacks as the JSON describes, and prints what the attackers saw
    #[command(hide = true)]
    Attack { spec: String },
}

impl Args {
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 8 } else { 20 })
    }

    /// How long after the attack all must be normal again.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_secs(if self.quick { 5 } else { 60 })
    }

    /// How long the server is measured after that.
    pub(crate) fn afterwards(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 10 })
    }
}

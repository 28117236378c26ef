//! `dataapi`: the command line of a store, for operators, analysts and scripts.

mod args;
mod command_line;
mod commands;
mod context;
mod error;
mod exit;
mod filter_args;
#[cfg(test)]
#[path = "../../tests/documents/flag_tables.rs"]
mod flag_tables;
mod formats;
mod interrupt;
mod output;
mod remote;
mod secrets;
mod terminal;
mod watched_work;

use std::process::ExitCode;

use command_line::CommandLine;
use context::Context;
use error::CommandError;
use exit::Exit;

/// Imports and exports allocate about ten values per dialog on one thread and free them on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_out_of_crash_files();
    let exit = match command_line::parse() {
        Ok(line) => run(line).unwrap_or_else(|error| {
            if !error.is_closed_pipe() {
                terminal::say(&error.message());
            }
            error.exit()
        }),
        Err(exit) => exit,
    };
    exit.into()
}

/// Disables core dumps: the memory of the process holds texts, which a crash must not write to a file.
fn keep_out_of_crash_files() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // No kernel refuses this; if one did, the work should go on.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

fn run(CommandLine { cli, key }: CommandLine) -> Result<Exit, CommandError> {
    // One thread besides the main one, to handle Ctrl-C while the main one waits for a pipe.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::Start)?;
    let context = Context { store_url: cli.store, key, quiet: cli.quiet };
    runtime.block_on(commands::run(cli.command, &context))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn every_flag_is_in_the_documents_as_defined() {
        flag_tables::check(Cli::command(), "docs/command-line.md");
    }
}

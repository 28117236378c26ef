//! `dataapi`: a store's command line, for operators, analysts and scripts.

mod args;
mod command_line;
mod commands;
mod context;
mod error;
mod exit;
mod filter_args;
mod formats;
mod interrupt;
mod output;
mod remote;
mod terminal;
mod watched_work;

use std::process::ExitCode;

use args::Cli;
use context::Context;
use error::CommandError;
use exit::Exit;

/// An import and an export make and drop some ten values a dialog, on one thread and on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_out_of_crash_files();
    let exit = match command_line::parse() {
        Ok(cli) => run(cli).unwrap_or_else(|error| {
            if !error.is_closed_pipe() {
                terminal::say(&error.message());
            }
            error.exit()
        }),
        Err(exit) => exit,
    };
    exit.into()
}

/// The memory of the process holds texts: no crash may write it to a file.
fn keep_out_of_crash_files() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // It is refused nowhere; the work is not to fail for it.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

fn run(cli: Cli) -> Result<Exit, CommandError> {
    // One thread beside the main one: it hears Ctrl-C while the main one waits for a pipe.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::Start)?;
    let context = Context { store_url: cli.store, quiet: cli.quiet };
    runtime.block_on(commands::run(cli.command, &context))
}

//! The commands, each in a file: from the arguments as typed to the work done.

mod audit;
mod backup;
mod check;
mod completions;
mod consent;
mod copy;
mod erase;
mod export;
mod filter;
mod generate;
mod get;
mod import;
mod key;
mod man;
mod migrate;
mod purge;
mod query;
mod stats;
mod subject;
mod sync;
mod verify_erasure;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};

use crate::args::{Cli, Command};
use crate::context::{self, Context};
use crate::error::CommandError;
use crate::exit::Exit;

/// Runs the command line of this process.
pub(crate) fn main() -> Exit {
    keep_out_of_crash_files();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody may be left to read it.
            if !error.use_stderr() {
                let _ = error.print();
                return Exit::Done;
            }
            match misuse(&error) {
                Some(message) => context::say(&message),
                None => drop(error.print()),
            }
            return Exit::Usage;
        }
    };
    run(cli).unwrap_or_else(|failure| {
        if !failure.is_closed_pipe() {
            context::say(&failure.message());
        }
        failure.exit()
    })
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

/// What to say where clap would repeat what was typed, which may be an id.
fn misuse(error: &clap::Error) -> Option<String> {
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let reason = match error.kind() {
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            "there is an argument too many, or one that is not known; quote what has spaces"
                .to_owned()
        }
        ErrorKind::InvalidSubcommand => "there is no such command".to_owned(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let rule = match named(ContextKind::ValidValue) {
                values if values.is_empty() => String::new(),
                values => format!("; it must be one of: {values}"),
            };
            format!(
                "the value of '{}' is not one that it takes{rule}",
                named(ContextKind::InvalidArg)
            )
        }
        _ => return None,
    };
    let usage = error.get(ContextKind::Usage).map(|usage| format!("\n\n{usage}"));
    let usage = usage.unwrap_or_default();
    Some(format!("error: {reason}{usage}\n\nFor more information, try '--help'."))
}

fn run(cli: Cli) -> Result<Exit, CommandError> {
    // One thread beside the main one: it hears Ctrl-C while the main one waits for a pipe.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(CommandError::Start)?;
    let context = Context { url: cli.store, quiet: cli.quiet };
    runtime.block_on(async {
        match cli.command {
            Command::Import(args) => import::run(args, &context).await,
            Command::Export(args) => export::run(args, &context).await,
            Command::Query(args) => query::run(args, &context).await,
            Command::Get(args) => get::run(&args, &context).await,
            Command::Consent(args) => consent::run(args, &context).await,
            Command::Erase(args) => erase::run(args, &context).await,
            Command::Subject(args) => subject::run(args, &context).await,
            Command::Purge(args) => purge::run(&args, &context).await,
            Command::Stats(args) => stats::run(&args, &context).await,
            Command::Audit(args) => audit::run(args, &context).await,
            Command::Sync(args) => sync::run(args, &context).await,
            Command::Backup(args) => backup::back_up(&args.file, &context).await,
            Command::Restore(args) => backup::restore(args, &context).await,
            Command::Check => check::run(&context).await,
            Command::Key(args) => key::run(args, &context).await,
            Command::VerifyErasure(args) => verify_erasure::run(args, &context),
            Command::Migrate(args) => migrate::run(&args, &context).await,
            Command::Copy(args) => copy::run(&args, &context).await,
            Command::Generate(args) => generate::run(args, &context).await,
            Command::Completions(args) => completions::run(&args),
            Command::Man(args) => man::run(&args),
        }
    })
}

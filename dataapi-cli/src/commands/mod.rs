//! The commands, one file or folder each. Each first checks its arguments and then does its work.

mod audit;
mod backup;
mod check;
mod completions;
mod consent;
mod copy;
mod doctor;
mod erase;
mod export;
mod generate;
mod get;
mod import;
mod key;
mod man;
mod migrate;
mod purge;
mod query;
mod restore;
mod stats;
mod subject;
mod sync;
mod verify_erasure;

use crate::args::Command;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, CommandError> {
    match command {
        Command::Import(args) => import::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Sync(args) => sync::run(args, context).await,
        Command::Query(args) => query::run(args, context).await,
        Command::Get(args) => get::run(&args, context).await,
        Command::Consent(args) => consent::run(args, context).await,
        Command::Erase(args) => erase::run(args, context).await,
        Command::Subject(args) => subject::run(args, context).await,
        Command::Purge(args) => purge::run(&args, context).await,
        Command::Stats(args) => stats::run(&args, context).await,
        Command::VerifyErasure(args) => verify_erasure::run(args, context),
        Command::Backup(args) => backup::run(&args, context).await,
        Command::Restore(args) => restore::run(args, context).await,
        Command::Check => check::run(context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Key(args) => key::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Migrate(args) => migrate::run(&args, context).await,
        Command::Copy(args) => copy::run(&args, context).await,
        Command::Generate(args) => generate::run(&args, context).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

//! `dataapi sync`: updates an export with the changes since.

mod change_source;
mod changes;
mod error;
mod export_file;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use change_source::ChangeSource;
use changes::ChangesSinceExport;
use export_file::{SyncCounts, check, rewrite};

use crate::args::SyncArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::remote::RemoteOptions;

/// How many bytes of new texts to hold in memory; more than that takes another round.
const BYTES_A_TURN: usize = 64 << 20;

pub(super) async fn run(args: SyncArgs, context: &Context) -> Result<Exit, CommandError> {
    let options = RemoteOptions {
        key: context.key.as_deref(),
        timeout: args.timeout,
        insecure_plaintext: args.insecure_plaintext,
    };
    let source = ChangeSource::open(args.from.as_deref(), &options, context).await?;
    // A killed process would leave its unfinished file, which holds texts.
    let interrupt = Interrupt::watch(context)?;
    let mut total = SyncCounts::default();
    let head = loop {
        if interrupt.is_requested() {
            context.note("interrupted; the file is a complete export, and the same command continues the update");
            return Ok(Exit::Interrupted);
        }
        let manifest = check(open(&args.file)?)?;
        let changes = ChangesSinceExport::read(&source, &manifest, BYTES_A_TURN).await?;
        let mut output = Output::to(&args.file)?;
        total += rewrite(open(&args.file)?, &manifest, &changes, &mut output)?;
        output.finish()?;
        if changes.is_all {
            break changes.head;
        }
    };
    let SyncCounts { added, removed } = total;
    context.note(&format!(
        "{added} added, {removed} removed; up to date with event {}",
        head.positions
    ));
    Ok(Exit::Done)
}

fn open(path: &Path) -> Result<BufReader<File>, CommandError> {
    Ok(BufReader::with_capacity(64 << 10, File::open(path).map_err(CommandError::Input)?))
}

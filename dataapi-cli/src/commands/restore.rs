//! `dataapi restore`: restores what a store has lost from a backup.

use std::fs::File;
use std::io::{BufReader, Write};

use dataapi::{Restored, Since};

use crate::args::RestoreArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::jsonl::read_ledger;
use crate::output::Output;
use crate::watched_work::WatchedWork;

pub(super) async fn run(args: RestoreArgs, context: &Context) -> Result<Exit, CommandError> {
    let since = match &args.ledger {
        Some(ledger) => {
            let ledger = File::open(ledger).map_err(CommandError::Input)?;
            Since::Ledger(Box::new(read_ledger(BufReader::new(ledger))))
        }
        None if args.accept_resurrection => Since::ResurrectionAccepted,
        None => Since::Unknown,
    };
    let work = WatchedWork::start(context, "dialogs read")?;
    let restored = dataapi::restore(&context.store_url, &args.file, since, work.progress()).await;
    work.finish();
    let Restored { restored, gone, already_there } = restored?;
    let mut output = Output::stdout();
    writeln!(
        output,
        "{restored} restored, {gone} left out (withdrawn or erased since), {already_there} already there"
    )?;
    output.finish()?;
    Ok(Exit::Done)
}

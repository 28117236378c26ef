//! `dataapi backup`: copies the whole store to a new file.

use std::io::Write;

use dataapi::Backup;

use crate::args::BackupArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::counted;
use crate::watched_work::WatchedWork;

pub(super) async fn run(args: &BackupArgs, context: &Context) -> Result<Exit, CommandError> {
    let work = WatchedWork::start(context, "dialogs copied")?;
    let copied = dataapi::backup(&context.store_url, &args.file, work.progress()).await;
    work.finish();
    let Backup { dialogs, head } = copied?;
    let mut output = Output::stdout();
    writeln!(
        output,
        "{} backed up, with {}: {head}",
        counted(dialogs, "dialog"),
        counted(head.positions.events(), "event")
    )?;
    output.finish()?;
    Ok(Exit::Done)
}

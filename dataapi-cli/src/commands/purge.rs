//! `dataapi purge`: dialogs whose consent never came, or that were kept for long enough.

use std::io::Write;

use dataapi::{Clock, Date, DialogStore, Purge, SystemClock};

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Small enough that a server on the same store hardly waits for one.
const BATCH: u32 = 500;

pub(super) async fn run(args: &args::Purge, context: &Context) -> Result<Exit, Failure> {
    let store = context.open_existing().await?;
    // One date for all batches, or a purge on a busy store might never come to its end.
    let now = SystemClock.now();
    let mut dialogs = 0;
    for (which, after) in
        [(Purge::Pending, args.pending_after), (Purge::Consented, args.consented_after)]
    {
        let Some(after) = after else { continue };
        let received_before = now.saturating_sub(after);
        dialogs += if args.dry_run {
            store.purgeable(which, received_before).await?
        } else {
            purge(&*store, which, received_before).await?
        };
    }
    let mut output = Output::stdout();
    let done = if args.dry_run { "would be purged" } else { "purged" };
    writeln!(output, "{dialogs} {done}")?;
    output.finish()?;
    Ok(if args.dry_run { Exit::Done } else { context.scrub(&*store).await })
}

async fn purge(
    store: &dyn DialogStore,
    which: Purge,
    received_before: Date,
) -> Result<u64, Failure> {
    let mut purged = 0;
    loop {
        let batch = store.purge(which, received_before, BATCH).await?;
        purged += batch;
        if batch < u64::from(BATCH) {
            return Ok(purged);
        }
    }
}

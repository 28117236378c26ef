//! `dataapi purge`: dialogs whose consent never came.

use std::io::Write;

use dataapi::{Clock, SystemClock};

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Small enough that a server on the same store hardly waits for one.
const BATCH: u32 = 500;

pub(super) async fn run(args: &args::Purge, context: &Context) -> Result<Exit, Failure> {
    let store = context.open_existing().await?;
    // One date for all batches, or a purge on a busy store might never come to its end.
    let received_before = SystemClock.now().saturating_sub(args.pending_after);
    let mut purged = 0;
    loop {
        let batch = store.purge_pending(received_before, BATCH).await?;
        purged += batch;
        if batch < u64::from(BATCH) {
            break;
        }
    }
    let mut output = Output::stdout();
    writeln!(output, "{purged} purged")?;
    output.finish()?;
    Ok(context.scrub(&*store).await)
}

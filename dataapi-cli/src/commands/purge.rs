//! `dataapi purge`: erases dialogs that are older than the retention periods, and forgets old tombstones.

use std::io::Write;

use dataapi::{Clock, Date, DialogStore, Purge, SystemClock};

use crate::args::PurgeArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Dialogs per commit: few enough that a server on the same store hardly waits for one.
const BATCH: u32 = 500;

pub(super) async fn run(args: &PurgeArgs, context: &Context) -> Result<Exit, CommandError> {
    let store = context.open_existing().await?;
    // One date for all batches, or a purge of a busy store might never end.
    let now = SystemClock.now();
    let mut dialogs = 0;
    let mut tombstones = None;
    for (which, after) in [
        (Purge::Pending, args.pending_after),
        (Purge::Consented, args.consented_after),
        (Purge::Tombstones, args.tombstones_after),
    ] {
        let Some(after) = after else { continue };
        let before = now.saturating_sub(after);
        let count = if args.dry_run {
            store.purgeable(which, before).await?
        } else {
            purge(&*store, which, before).await?
        };
        match which {
            Purge::Tombstones => tombstones = Some(count),
            Purge::Pending | Purge::Consented => dialogs += count,
        }
    }
    let mut output = Output::stdout();
    let would = if args.dry_run { "would be " } else { "" };
    if args.pending_after.is_some() || args.consented_after.is_some() {
        writeln!(output, "{dialogs} {would}purged")?;
    }
    if let Some(tombstones) = tombstones {
        writeln!(output, "{tombstones} tombstones {would}forgotten")?;
    }
    output.finish()?;
    Ok(if args.dry_run { Exit::Done } else { context.scrub(&*store).await })
}

async fn purge(store: &dyn DialogStore, which: Purge, before: Date) -> Result<u64, CommandError> {
    let mut purged = 0;
    loop {
        let batch = store.purge(which, before, BATCH).await?;
        purged += batch;
        if batch < u64::from(BATCH) {
            return Ok(purged);
        }
    }
}

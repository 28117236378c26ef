//! `dataapi purge`: erases dialogs that are older than the retention periods, and forgets old tombstones.

use std::io::Write;

use dataapi::{Clock, Date, DialogStore, Purge, SystemClock};

use crate::args::PurgeArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::counted;

/// Dialogs per commit: few enough that a server on the same store hardly waits for one.
const BATCH: u32 = 500;

pub(super) async fn run(args: &PurgeArgs, context: &Context) -> Result<Exit, CommandError> {
    let store = context.open_existing().await?;
    let mut done = Purged::default();
    let end = purge_all(&*store, args, &mut done).await;
    // What the batches before a failed one removed is gone.
    if end.is_ok() || done != Purged::default() {
        let mut output = Output::stdout();
        write!(output, "{}", done.told(args))?;
        output.finish()?;
    }
    end?;
    Ok(if args.dry_run { Exit::Done } else { context.scrub(&*store).await })
}

/// How much was removed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Purged {
    dialogs: u64,
    tombstones: u64,
}

impl Purged {
    /// The result, in a line for dialogs and one for tombstones, as they were asked for.
    fn told(&self, args: &PurgeArgs) -> String {
        let would = if args.dry_run { "would be " } else { "" };
        let mut told = Vec::new();
        if args.pending_after.is_some() || args.consented_after.is_some() {
            told.push(format!("{} {would}purged\n", self.dialogs));
        }
        if args.tombstones_after.is_some() {
            let tombstones = counted(self.tombstones, "tombstone");
            told.push(format!("{tombstones} {would}forgotten\n"));
        }
        told.concat()
    }
}

async fn purge_all(
    store: &dyn DialogStore,
    args: &PurgeArgs,
    done: &mut Purged,
) -> Result<(), CommandError> {
    // One date for all batches, or a purge of a busy store might never end.
    let now = SystemClock.now();
    for (which, after) in [
        (Purge::Pending, args.pending_after),
        (Purge::Consented, args.consented_after),
        (Purge::Tombstones, args.tombstones_after),
    ] {
        let Some(after) = after else { continue };
        let before = now.saturating_sub(after);
        let count = match which {
            Purge::Tombstones => &mut done.tombstones,
            Purge::Pending | Purge::Consented => &mut done.dialogs,
        };
        if args.dry_run {
            *count += store.purgeable(which, before).await?;
        } else {
            purge(store, which, before, count).await?;
        }
    }
    Ok(())
}

async fn purge(
    store: &dyn DialogStore,
    which: Purge,
    before: Date,
    count: &mut u64,
) -> Result<(), CommandError> {
    loop {
        let batch = store.purge(which, before, BATCH).await?;
        *count += batch;
        if batch < u64::from(BATCH) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use dataapi::{Dialogs, Keys, Ledger, StoreError, Upkeep};

    use super::*;

    /// A store that purges two whole batches and then fails.
    struct FailsAfterTwo {
        store: Arc<dyn DialogStore>,
        purges: AtomicU32,
    }

    #[async_trait]
    impl Dialogs for FailsAfterTwo {
        dataapi::delegate!(Dialogs to store);
    }

    #[async_trait]
    impl Ledger for FailsAfterTwo {
        dataapi::delegate!(Ledger to store);
    }

    #[async_trait]
    impl Keys for FailsAfterTwo {
        dataapi::delegate!(Keys to store);
    }

    #[async_trait]
    impl Upkeep for FailsAfterTwo {
        dataapi::delegate!(purgeable, reference, revision, info, activity, ready, scrub to store);

        async fn purge(&self, _: Purge, _: Date, at_most: u32) -> Result<u64, StoreError> {
            if self.purges.fetch_add(1, Ordering::Relaxed) < 2 {
                return Ok(at_most.into());
            }
            let retry_after = Duration::from_secs(1);
            Err(StoreError::Unavailable { reason: "the disk is full".into(), retry_after })
        }
    }

    #[tokio::test]
    async fn what_was_purged_before_a_failed_batch_is_counted() {
        let store = dataapi::open("memory:").await.expect("a store");
        let store = FailsAfterTwo { store, purges: AtomicU32::new(0) };
        let args = PurgeArgs {
            pending_after: Some(Duration::ZERO),
            consented_after: None,
            tombstones_after: Some(Duration::ZERO),
            dry_run: false,
        };
        let mut done = Purged::default();
        assert!(purge_all(&store, &args, &mut done).await.is_err());
        assert_eq!(done.told(&args), "1000 purged\n0 tombstones forgotten\n");
    }
}

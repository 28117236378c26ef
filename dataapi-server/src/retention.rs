//! Retention: erases dialogs whose consent never came, and consented ones that were kept for long
//! enough (GDPR article 5(1)(e)); forgets tombstones where that is wanted.

use std::time::Duration;

use dataapi_core::{Clock, DialogStore, Purge};

use crate::metrics::Metrics;

/// Small enough that requests get their turn between two batches.
const BATCH: u32 = 500;

/// Purges, at the start and ever again, what is older than `after`. Runs until it is dropped, which is
/// safe at any moment.
pub(crate) async fn run(
    store: &dyn DialogStore,
    clock: &dyn Clock,
    metrics: &Metrics,
    which: Purge,
    after: Duration,
) {
    let mut round = tokio::time::interval(interval(after));
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        let before = clock.now().saturating_sub(after);
        let mut purged = 0;
        let outcome = loop {
            match store.purge(which, before, BATCH).await {
                Ok(count) => {
                    metrics.purged(which, count);
                    purged += count;
                    if count < u64::from(BATCH) {
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
            tokio::task::yield_now().await;
        };
        if purged > 0 {
            tracing::info!(purged, ?which, "purged what had come to its time");
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, ?which, "the clean-up goes on in the next round");
        }
    }
}

/// Often enough that a dialog outstays its time by a tenth at most, but not more than needed.
fn interval(after: Duration) -> Duration {
    (after / 10).clamp(Duration::from_secs(1), Duration::from_hours(1))
}

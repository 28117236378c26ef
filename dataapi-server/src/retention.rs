//! Retention (GDPR article 5(1)(e)): erases dialogs whose consent did not come in time and consented dialogs that were
//! kept long enough, and removes old tombstones.

use std::time::Duration;

use dataapi_core::{Clock, DialogStore, Purge};

use crate::metrics::Metrics;

/// The size of a batch: small enough that requests do not wait long between two batches.
const BATCH: u32 = 500;

/// Purges whatever is older than `after`, at the start and then at regular intervals. Runs until it is dropped, which
/// is safe at any moment.
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
            tracing::info!(purged, ?which, "retention purged dialogs or tombstones");
        }
        if let Err(error) = outcome {
            tracing::warn!(%error, ?which, "retention failed; it continues in the next round");
        }
    }
}

/// Returns the time between two rounds: a tenth of `after`, but at least a second and at most an hour. So nothing is
/// kept for more than a tenth, or a second, too long.
fn interval(after: Duration) -> Duration {
    (after / 10).clamp(Duration::from_secs(1), Duration::from_secs(3_600))
}

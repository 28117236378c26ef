//! Tells the operator when what was erased is slow to leave the files.

use std::time::Duration;

use dataapi_core::DialogStore;
use tokio::time::MissedTickBehavior;

/// How often the store is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Warns when an erasure has waited for longer than `erase_within`, and says when none does any
/// more. Runs until it is dropped.
pub(crate) async fn run(store: &dyn DialogStore, erase_within: Duration) {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_late = false;
    loop {
        period.tick().await;
        let late = store.activity().unscrubbed.filter(|age| *age > erase_within + PERIOD);
        match late {
            Some(age) if !is_late => tracing::warn!(
                seconds = age.as_secs(),
                "an erased dialog's bytes are still in the files of the store: a long read, or \
                 another program that has the store open, may be in the way"
            ),
            None if is_late => tracing::info!("what was erased has left the files of the store"),
            _ => {}
        }
        is_late = late.is_some();
    }
}

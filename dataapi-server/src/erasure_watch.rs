//! Warns the operator when erased bytes stay in the store's files for too long.

use std::time::Duration;

use dataapi_core::DialogStore;
use tokio::time::MissedTickBehavior;

/// How often the store is checked.
const PERIOD: Duration = Duration::from_secs(1);

/// Logs a warning when an erasure has waited for longer than `erase_within`, and another message when none waits any
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
                "the bytes of an erased dialog are still in the files of the store; a long read, or \
                 another program that has the store open, might block the erasure"
            ),
            None if is_late => {
                tracing::info!("the bytes of all erased dialogs have left the files of the store");
            }
            _ => {}
        }
        is_late = late.is_some();
    }
}

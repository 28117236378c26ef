//! The beginning of the shutdown, for handlers that wait.

use tokio::sync::watch;

/// Whether the shutdown has begun.
#[derive(Debug, Default)]
pub(crate) struct Stopping(watch::Sender<bool>);

impl Stopping {
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the shutdown begins.
    pub(crate) async fn begun(&self) {
        // The sender is not dropped while this borrows it.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

//! Ctrl-C for long work: the first lets the running batch finish, the second ends at once.

use tokio::sync::watch;

use crate::context::Context;
use crate::exit::{Exit, Failure};

/// Whether the work is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// From now on Ctrl-C no longer ends the program by itself.
    pub(crate) fn watch(context: &Context) -> Result<Self, Failure> {
        // Made before the task runs, so that no Ctrl-C from here on takes the old way.
        #[cfg(unix)]
        let mut signals = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
            .map_err(Failure::Start)?;
        #[cfg(windows)]
        let mut signals = tokio::signal::windows::ctrl_c().map_err(Failure::Start)?;

        let (sender, receiver) = watch::channel(false);
        let context = context.clone();
        tokio::spawn(async move {
            if signals.recv().await.is_some() {
                context.note("stopping after the running batch; Ctrl-C again to end at once");
                sender.send_replace(true);
            }
            if signals.recv().await.is_some() {
                std::process::exit(Exit::Interrupted as i32);
            }
        });
        Ok(Self(receiver))
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Ready once Ctrl-C is pressed.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|requested| *requested).await.is_err() {
            // The task that listens is gone only when the runtime is.
            std::future::pending::<()>().await;
        }
    }
}

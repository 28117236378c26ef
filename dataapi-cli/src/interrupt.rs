//! Ctrl-C and similar signals during long work: the first lets the current batch finish, the second ends the
//! program at once.

use tokio::sync::watch;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output;

/// Whether the work was asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Starts to handle Ctrl-C, and on Unix SIGTERM and SIGHUP: from now on these no longer end the program
    /// by themselves.
    pub(crate) fn watch(context: &Context) -> Result<Self, CommandError> {
        // Created before the task starts, so that no Ctrl-C is missed in between.
        let mut signals = Signals::watch().map_err(CommandError::Start)?;

        let (sender, receiver) = watch::channel(false);
        let context = context.clone();
        tokio::spawn(async move {
            signals.next().await;
            // Nobody can ask in between: work never goes on after the message, nor ends before it.
            sender.send_modify(|requested| {
                context.note("stopping after the current batch; press Ctrl-C again to end at once");
                *requested = true;
            });
            signals.next().await;
            output::discard_unfinished();
            std::process::exit(Exit::Interrupted as i32);
        });
        Ok(Self(receiver))
    }

    /// An interrupt that a test requests by hand.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until Ctrl-C is pressed.
    pub(crate) async fn requested(&mut self) {
        if self.0.wait_for(|requested| *requested).await.is_err() {
            // The task that listens ends only with the runtime.
            std::future::pending::<()>().await;
        }
    }
}

/// The signals that ask a program to end.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}

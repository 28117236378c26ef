//! Work on another thread, with progress for people, that Ctrl-C ends.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::context::Context;
use crate::error::CommandError;
use crate::interrupt::Interrupt;
use crate::terminal::WorkProgress;

pub(crate) struct WatchedWork {
    interrupt: Interrupt,
    progress: Arc<Mutex<WorkProgress>>,
}

impl WatchedWork {
    /// Starts to watch work whose progress is counted in `what`, such as "dialogs copied".
    pub(crate) fn start(context: &Context, what: &'static str) -> Result<Self, CommandError> {
        let interrupt = Interrupt::watch(context)?;
        let progress = Arc::new(Mutex::new(WorkProgress::passing(context.quiet, what)));
        Ok(Self { interrupt, progress })
    }

    /// The callback for the work: takes how many more are done, and breaks after Ctrl-C.
    pub(crate) fn progress(&self) -> impl FnMut(u64) -> ControlFlow<()> + Send + 'static {
        let (interrupt, progress) = (self.interrupt.clone(), Arc::clone(&self.progress));
        move |done| {
            progress.lock().unwrap_or_else(PoisonError::into_inner).done(done);
            if interrupt.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }

    pub(crate) fn finish(&self) {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).finish();
    }
}

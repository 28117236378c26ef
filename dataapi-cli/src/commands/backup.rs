//! `dataapi backup` and `dataapi restore`: a copy of the whole store, and the way back.

use std::fs::File;
use std::io::{BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use dataapi::{Backup, Restored, Since};

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::events;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress::Progress;

pub(super) async fn back_up(place: &Path, context: &Context) -> Result<Exit, CommandError> {
    let watched = Watched::start(context, "dialogs copied")?;
    let copied = dataapi::backup(&context.url, place, watched.progress()).await;
    watched.finish();
    let Backup { dialogs, head } = copied?;
    let mut output = Output::stdout();
    writeln!(
        output,
        "{dialogs} dialogs backed up, with {} events: {head}",
        head.positions.events()
    )?;
    output.finish()?;
    Ok(Exit::Done)
}

pub(super) async fn restore(args: args::Restore, context: &Context) -> Result<Exit, CommandError> {
    let since = match &args.ledger {
        Some(ledger) => {
            let ledger = File::open(ledger).map_err(CommandError::Input)?;
            Since::Ledger(Box::new(events::read(BufReader::new(ledger))))
        }
        None if args.accept_resurrection => Since::ResurrectionAccepted,
        None => Since::Unknown,
    };
    let watched = Watched::start(context, "dialogs looked at")?;
    let restored = dataapi::restore(&context.url, &args.file, since, watched.progress()).await;
    watched.finish();
    let Restored { restored, gone, already_there } = restored?;
    let mut output = Output::stdout();
    writeln!(
        output,
        "{restored} restored, {gone} withdrawn or erased since and left out, {already_there} already \
         there"
    )?;
    output.finish()?;
    Ok(Exit::Done)
}

/// Work of another thread that is shown and can be interrupted.
struct Watched {
    interrupt: Interrupt,
    shown: Arc<Mutex<Progress>>,
}

impl Watched {
    fn start(context: &Context, what: &'static str) -> Result<Self, CommandError> {
        let interrupt = Interrupt::watch(context)?;
        let shown = Arc::new(Mutex::new(Progress::passing(context, what)));
        Ok(Self { interrupt, shown })
    }

    fn progress(&self) -> impl FnMut(u64) -> ControlFlow<()> + Send + 'static {
        let (interrupt, shown) = (self.interrupt.clone(), Arc::clone(&self.shown));
        move |done| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).done(done);
            if interrupt.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }

    fn finish(&self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).finish();
    }
}

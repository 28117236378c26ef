//! `dataapi copy`: copies a whole store into a new one, of the same or another backend.

use std::io::Write;
use std::ops::ControlFlow;

use dataapi::{Copied, Stage, Stats};

use crate::args::CopyArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::terminal::{WorkProgress, counted};

pub(super) async fn run(args: &CopyArgs, context: &Context) -> Result<Exit, CommandError> {
    let from = args.from.as_ref().unwrap_or(&context.store_url);
    let to = args.to.as_deref().unwrap_or_default();
    let interrupt = Interrupt::watch(context)?;
    let mut progress = CopyProgress { context, stage: None };
    let mut watch = |stage, done, total| {
        progress.step(stage, done, total);
        if interrupt.is_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let copied = dataapi::copy(from, to, args.shards, &mut watch).await;
    progress.finish();
    let Copied { stats, head, keys } = copied?;
    let Stats { pending, consented, withdrawn, erased, .. } = stats;
    let mut output = Output::stdout();
    writeln!(
        output,
        "copied and verified: {consented} consented and {}, {}, {}, {}: {head}",
        counted(pending, "pending dialog"),
        counted(withdrawn + erased, "tombstone"),
        counted(keys, "key"),
        counted(head.positions.events(), "event"),
    )?;
    output.finish()?;
    context.note(&format!(
        "{} still holds all of this data, and erasures in the new store do not reach it: delete it once \
         nothing uses it",
        dataapi::shown(from)
    ));
    Ok(Exit::Done)
}

/// The progress of the current stage.
struct CopyProgress<'c> {
    context: &'c Context,
    stage: Option<(Stage, WorkProgress, u64)>,
}

impl CopyProgress<'_> {
    fn step(&mut self, stage: Stage, done: u64, total: u64) {
        if self.stage.as_ref().is_none_or(|(shown, ..)| *shown != stage) {
            self.finish();
            let what = match stage {
                Stage::Ledger => "events copied",
                Stage::Rows => "dialogs and tombstones copied",
                Stage::Verification => "events, dialogs and tombstones verified",
            };
            self.stage = Some((stage, WorkProgress::counting(self.context.quiet, what, total), 0));
        }
        if let Some((_, progress, shown)) = &mut self.stage {
            progress.done(done.saturating_sub(*shown));
            *shown = done;
        }
    }

    fn finish(&self) {
        if let Some((_, progress, _)) = &self.stage {
            progress.finish();
        }
    }
}

//! `dataapi consent`: records or shows a customer's decision.

use dataapi::{Decision, DialogId, Evidence};
use dataapi_wire::{ConsentStatus, Receipt};

use crate::args::{ConsentArgs, DecideArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: ConsentArgs, context: &Context) -> Result<Exit, CommandError> {
    let mut output = Output::stdout();
    let exit = match args {
        ConsentArgs::Grant(args) => decide(args, Decision::Granted, context, &mut output).await?,
        ConsentArgs::Withdraw(args) => {
            decide(args, Decision::Withdrawn, context, &mut output).await?
        }
        ConsentArgs::Show { dialog } => {
            let dialog: DialogId = dialog.parse()?;
            let status = context.open_existing().await?.consent(&dialog).await?;
            output.json(&ConsentStatus::from(&status))?;
            Exit::Done
        }
    };
    output.finish()?;
    Ok(exit)
}

async fn decide(
    args: DecideArgs,
    decision: Decision,
    context: &Context,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let dialog: DialogId = args.dialog.parse()?;
    let evidence = Evidence::parse(args.notice, args.method, args.locale)?;
    let store = context.open_existing().await?;
    let receipt = store.decide(dialog, decision, evidence).await?;
    output.json(&Receipt::from(&receipt).without_ledger())?;
    Ok(match decision {
        Decision::Granted => Exit::Done,
        Decision::Withdrawn => context.scrub(&*store).await,
    })
}

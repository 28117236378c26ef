//! `dataapi consent`: what a customer decided, recorded or shown.

use dataapi::{ConsentState, ConsentStatus, Decision, DialogId, Evidence, Receipt};
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: args::Consent, context: &Context) -> Result<Exit, CommandError> {
    let mut output = Output::stdout();
    let exit = match args {
        args::Consent::Grant(args) => decide(args, Decision::Granted, context, &mut output).await?,
        args::Consent::Withdraw(args) => {
            decide(args, Decision::Withdrawn, context, &mut output).await?
        }
        args::Consent::Show { dialog } => {
            let dialog: DialogId = dialog.parse()?;
            let status = context.open_existing().await?.consent(&dialog).await?;
            output.json(&Shown::from(&status))?;
            Exit::Done
        }
    };
    output.finish()?;
    Ok(exit)
}

async fn decide(
    args: args::Decide,
    decision: Decision,
    context: &Context,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let dialog: DialogId = args.dialog.parse()?;
    let evidence = Evidence::parse(args.notice, args.method, args.locale)?;
    let store = context.open_existing().await?;
    let receipt = store.decide(dialog, decision, evidence).await?;
    output.json(&Shown::from(&receipt))?;
    Ok(match decision {
        Decision::Granted => Exit::Done,
        Decision::Withdrawn => context.scrub(&*store).await,
    })
}

/// A receipt or a status, as the contract writes them.
#[derive(Serialize)]
struct Shown<'a> {
    dialog_id: &'a str,
    consent: &'static str,
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
}

impl<'a> From<&'a Receipt> for Shown<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let [notice, method, locale] = receipt.event.evidence.pieces();
        Self {
            dialog_id: receipt.dialog_id.as_str(),
            consent: match receipt.decision {
                Decision::Granted => "granted",
                Decision::Withdrawn => "withdrawn",
            },
            date: receipt.event.date.to_string(),
            notice,
            method,
            locale,
        }
    }
}

impl<'a> From<&'a ConsentStatus> for Shown<'a> {
    fn from(status: &'a ConsentStatus) -> Self {
        Self {
            dialog_id: status.dialog_id.as_str(),
            consent: match status.state {
                ConsentState::Pending => "pending",
                ConsentState::Granted => "granted",
                ConsentState::Withdrawn => "withdrawn",
                ConsentState::Erased => "erased",
            },
            date: status.date.to_string(),
            notice: None,
            method: None,
            locale: None,
        }
    }
}

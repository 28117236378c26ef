//! `dataapi audit`: verifies or exports the ledger.

use std::io::Write;
use std::path::Path;

use dataapi::{Audit, DialogStore, LedgerHead, Limit, Positions, Reach};
use dataapi_wire::EventLine;

use crate::args::AuditArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::{counted, say};

pub(super) async fn run(args: AuditArgs, context: &Context) -> Result<Exit, CommandError> {
    match args {
        AuditArgs::Verify { head } => {
            let noted = head.map(|head| head.parse::<LedgerHead>()).transpose()?;
            let store = context.open_existing().await?;
            verify(&*store, noted).await
        }
        AuditArgs::Head => {
            let head = context.open_existing().await?.ledger_head().await?;
            let mut output = Output::stdout();
            writeln!(output, "{head}")?;
            output.finish()?;
            Ok(Exit::Done)
        }
        AuditArgs::Export { output } => {
            let store = context.open_existing().await?;
            export(&*store, &output, context).await
        }
    }
}

async fn verify(store: &dyn DialogStore, noted: Option<LedgerHead>) -> Result<Exit, CommandError> {
    let mut audit = Audit::new(noted);
    let mut after = Positions::START;
    let found = loop {
        let events = store.events(&after, Limit::MAX, &Reach::default()).await?;
        if events.is_empty() {
            break audit.finish();
        }
        for event in &events {
            after.pass(event);
        }
        if let Err(broken) = events.iter().try_for_each(|event| audit.check(event)) {
            break Err(broken);
        }
    };
    match found {
        Ok(head) => {
            let mut output = Output::stdout();
            let events = counted(head.positions.events(), "event");
            writeln!(output, "{events}, the ledger is intact: {head}")?;
            output.finish()?;
            Ok(Exit::Done)
        }
        Err(broken) => {
            say(&format!("error: {broken}"));
            Ok(Exit::NotDone)
        }
    }
}

async fn export(
    store: &dyn DialogStore,
    place: &Path,
    context: &Context,
) -> Result<Exit, CommandError> {
    let mut output = Output::to(place)?;
    let mut after = Positions::START;
    loop {
        let events = store.events(&after, Limit::MAX, &Reach::default()).await?;
        if events.is_empty() {
            break;
        }
        for event in &events {
            after.pass(event);
            output.json(&EventLine::from(event))?;
        }
    }
    output.finish()?;
    context.note(&format!("{} exported", counted(after.events(), "event")));
    Ok(Exit::Done)
}

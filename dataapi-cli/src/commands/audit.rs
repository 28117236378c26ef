//! `dataapi audit`: the ledger, checked or written out.

use std::io::Write;
use std::path::Path;

use dataapi::{Audit, DialogStore, Head, Limit};

use crate::args;
use crate::context::{self, Context};
use crate::events::EventLine;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn run(args: args::Audit, context: &Context) -> Result<Exit, Failure> {
    match args {
        args::Audit::Verify { head } => {
            let noted = head.map(|head| head.parse::<Head>()).transpose()?;
            let store = context.open_existing().await?;
            verify(&*store, noted).await
        }
        args::Audit::Head => {
            let head = context.open_existing().await?.ledger_head().await?;
            let mut output = Output::stdout();
            writeln!(output, "{head}")?;
            output.finish()?;
            Ok(Exit::Done)
        }
        args::Audit::Export { output } => {
            let store = context.open_existing().await?;
            export(&*store, &output, context).await
        }
    }
}

async fn verify(store: &dyn DialogStore, noted: Option<Head>) -> Result<Exit, Failure> {
    let mut audit = Audit::new(noted);
    let mut after = 0;
    let found = loop {
        let events = store.events(after, Limit::MAX).await?;
        let Some(last) = events.last() else { break audit.finish() };
        after = last.position;
        if let Err(broken) = events.iter().try_for_each(|event| audit.check(event)) {
            break Err(broken);
        }
    };
    match found {
        Ok(head) => {
            let mut output = Output::stdout();
            writeln!(output, "{} events, the chain is whole: {head}", head.position)?;
            output.finish()?;
            Ok(Exit::Done)
        }
        Err(broken) => {
            context::say(&format!("error: {broken}"));
            Ok(Exit::NotDone)
        }
    }
}

async fn export(store: &dyn DialogStore, place: &Path, context: &Context) -> Result<Exit, Failure> {
    let mut output = Output::to(place)?;
    let mut after = 0;
    loop {
        let events = store.events(after, Limit::MAX).await?;
        let Some(last) = events.last() else { break };
        after = last.position;
        for event in &events {
            output.json(&EventLine::from(event))?;
        }
    }
    output.finish()?;
    context.note(&format!("{after} events exported"));
    Ok(Exit::Done)
}

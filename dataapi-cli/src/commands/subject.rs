//! `dataapi subject`: exports or erases everything stored about one customer.

use std::io::Write;
use std::path::Path;

use dataapi::{
    Clock, CustomerId, DialogStore, Event, HeldDialog, Limit, Start, StoreError, SubjectRequest,
    SystemClock, Window,
};
use dataapi_wire::{SubjectDialog, SubjectHeading};

use super::erase;
use crate::args::SubjectArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::jsonl::write_value;
use crate::output::Output;
use crate::terminal::counted;

pub(super) async fn run(args: SubjectArgs, context: &Context) -> Result<Exit, CommandError> {
    match args {
        SubjectArgs::Export { customer, output } => {
            export(&customer.parse()?, &output, context).await
        }
        SubjectArgs::Erase(args) => erase::customer(args, context).await,
    }
}

/// Writes page by page, so that memory does not limit the size of an export.
async fn export(
    customer: &CustomerId,
    place: &Path,
    context: &Context,
) -> Result<Exit, CommandError> {
    let store = context.open_existing().await?;
    let mut output = Output::to(place)?;
    let heading = SubjectHeading::new(customer, SystemClock.now());
    let heading = serde_json::to_string(&heading).map_err(StoreError::backend)?;
    // The dialogs go before the closing brace of the heading.
    write!(output, "{},\"dialogs\":[", heading.trim_end_matches('}'))?;
    let mut written = 0_u64;
    let mut start = Start::default();
    loop {
        let window = Window { limit: Limit::MAX, start, total: false };
        let page = store.subject_data(&SubjectRequest::new(customer.clone(), window)?).await?;
        for held in &page.items {
            let Some(consent) = current_consent(&*store, held).await? else { continue };
            output.write_all(if written == 0 { b"\n" } else { b",\n" })?;
            let on_terminal = output.is_terminal();
            let dialog = SubjectDialog::new(held, consent.grant());
            write_value(&mut output, &dialog, on_terminal)?;
            written += 1;
        }
        match page.next {
            Some(next) => start = Start::After(next),
            None => break,
        }
    }
    output.write_all(b"\n]}\n")?;
    output.finish()?;
    context.note(&format!("{} written", counted(written, "dialog")));
    Ok(Exit::Done)
}

/// The consent of a dialog that is still stored.
enum CurrentConsent {
    Pending,
    Granted(Event),
}

impl CurrentConsent {
    fn grant(&self) -> Option<&Event> {
        match self {
            Self::Pending => None,
            Self::Granted(event) => Some(event),
        }
    }
}

/// Reads the dialog's consent again. `None` if the dialog was erased after its page was read: it must not be
/// exported then.
async fn current_consent(
    store: &dyn DialogStore,
    held: &HeldDialog,
) -> Result<Option<CurrentConsent>, CommandError> {
    use dataapi::ConsentState::{Granted, Pending};
    let status = store.consent(held.dialog_id()).await?;
    Ok(match (status.state, status.event) {
        (Pending, _) => Some(CurrentConsent::Pending),
        (Granted, Some(event)) => Some(CurrentConsent::Granted(event)),
        _ => None,
    })
}

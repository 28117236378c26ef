//! `dataapi subject`: what is held on one customer, written out for them or erased.

use std::io::Write;
use std::path::Path;

use dataapi::{
    Clock, CustomerId, DialogStore, Event, HeldDialog, Limit, Start, StoreError, SubjectRequest,
    SystemClock, Window,
};
use serde::Serialize;

use super::erase;
use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: args::Subject, context: &Context) -> Result<Exit, CommandError> {
    match args {
        args::Subject::Export { customer, output } => {
            export(&customer.parse()?, &output, context).await
        }
        args::Subject::Erase(args) => erase::customer(args, context).await,
    }
}

/// Writes page by page, so that however much is held fits into memory.
async fn export(
    customer: &CustomerId,
    place: &Path,
    context: &Context,
) -> Result<Exit, CommandError> {
    let store = context.open_existing().await?;
    let mut output = Output::to(place)?;
    let head = Head { customer_id: customer.as_str(), exported: SystemClock.now().to_string() };
    let head = serde_json::to_string(&head).map_err(StoreError::backend)?;
    // The dialogs go in before the brace that ends the head.
    write!(output, "{},\"dialogs\":[", head.trim_end_matches('}'))?;
    let mut written = 0_u64;
    let mut start = Start::default();
    loop {
        let window = Window { limit: Limit::MAX, start, total: false };
        let page = store.subject_data(&SubjectRequest::new(customer.clone(), window)?).await?;
        for held in &page.items {
            let Some(consent) = consent(&*store, held).await? else { continue };
            output.write_all(if written == 0 { b"\n" } else { b",\n" })?;
            let on_terminal = output.is_terminal();
            crate::terminal::write_json_value(
                &mut output,
                &Held::new(held, &consent),
                on_terminal,
            )?;
            written += 1;
        }
        match page.next {
            Some(next) => start = Start::After(next),
            None => break,
        }
    }
    output.write_all(b"\n]}\n")?;
    output.finish()?;
    context.note(&format!("{written} dialogs written"));
    Ok(Exit::Done)
}

/// What was decided on a dialog that is still held.
enum Consent {
    Pending,
    Granted(Event),
}

/// `None` if the dialog was erased since its page was read: then it must not be handed out.
async fn consent(
    store: &dyn DialogStore,
    held: &HeldDialog,
) -> Result<Option<Consent>, CommandError> {
    use dataapi::ConsentState::{Granted, Pending};
    let status = store.consent(held.dialog_id()).await?;
    Ok(match (status.state, status.event) {
        (Pending, _) => Some(Consent::Pending),
        (Granted, Some(event)) => Some(Consent::Granted(event)),
        _ => None,
    })
}

#[derive(Serialize)]
struct Head<'a> {
    customer_id: &'a str,
    exported: String,
}

#[derive(Serialize)]
struct Held<'a> {
    dialog_id: &'a str,
    text: &'a str,
    language: &'a str,
    date: String,
    consent: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt<'a>>,
}

#[derive(Serialize)]
struct Receipt<'a> {
    date: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "is_first")]
    chain: u16,
    position: u64,
    #[serde(rename = "ref")]
    reference: String,
    hash: String,
}

impl<'a> Held<'a> {
    fn new(held: &'a HeldDialog, consent: &'a Consent) -> Self {
        let (consent, receipt) = match consent {
            Consent::Pending => ("pending", None),
            Consent::Granted(event) => ("granted", Some(Receipt::from(event))),
        };
        Self {
            dialog_id: held.dialog_id().as_str(),
            text: held.text().as_str(),
            language: held.language().as_str(),
            date: held.date().to_string(),
            consent,
            receipt,
        }
    }
}

impl<'a> From<&'a Event> for Receipt<'a> {
    fn from(event: &'a Event) -> Self {
        let [notice, method, locale] = event.evidence.pieces();
        Self {
            date: event.date.to_string(),
            notice,
            method,
            locale,
            chain: event.chain,
            position: event.position,
            reference: event.reference.to_string(),
            hash: event.hash.to_string(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(chain: &u16) -> bool {
    *chain == 0
}

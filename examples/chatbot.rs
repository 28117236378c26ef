//! A chatbot that embeds the store. A background job stores each dialog while the bot keeps talking, and the customer
//! is asked for consent at the end.
//!
//! Run `cargo run --example chatbot` and type; an empty line ends a dialog. `DATAAPI_STORE` names the store, by default
//! `memory:`.

use std::error::Error;
use std::sync::Arc;

use dataapi::{Decision, DialogStore, Evidence, Filter, NewDialog, PageRequest, Window};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::task::JoinHandle;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATAAPI_STORE").unwrap_or_else(|_| "memory:".into());
    let store = dataapi::open(&url).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();

    let mut number = 0;
    loop {
        number += 1;
        println!("Bot: Hello! How can I help?");
        let dialog_id = format!("{}-{number}", std::process::id());
        let Some(pushed) = converse(&store, &mut lines, &dialog_id).await? else { break };
        // The dialog must be stored before the customer's answer is recorded.
        pushed.await??;
        println!("Bot: May we keep this dialog to get better? (yes/no)");
        let answer = lines.next_line().await?.unwrap_or_default();
        let decision = if answer == "yes" { Decision::Granted } else { Decision::Withdrawn };
        let evidence = Evidence::parse(Some("keep-v1".into()), Some("chat".into()), None)?;
        let receipt = store.decide(dialog_id.parse()?, decision, evidence).await?;
        println!("Bot: Noted at {}.", receipt.event.date);
    }

    let readable = store.query(&PageRequest::new(Filter::default(), Window::default())?).await?;
    println!("Readable dialogs: {}", readable.total.unwrap_or_default());
    Ok(())
}

/// Talks until an empty line. Returns `None` if the customer said nothing.
async fn converse(
    store: &Arc<dyn DialogStore>,
    lines: &mut Lines<BufReader<Stdin>>,
    dialog_id: &str,
) -> Result<Option<JoinHandle<Result<(), dataapi::StoreError>>>, Box<dyn Error>> {
    let mut turns = Vec::new();
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        let reply = format!("You said {} words. Go on?", line.split_whitespace().count());
        println!("Bot: {reply}");
        turns.extend([format!("Customer: {line}"), format!("Bot: {reply}")]);
    }
    if turns.is_empty() {
        return Ok(None);
    }
    let dialog = NewDialog::parse("customer-1", dialog_id, "en", &turns.join("\n"))?;
    let store = Arc::clone(store);
    // The conversation does not wait for the disk.
    Ok(Some(tokio::spawn(async move { store.insert(dialog).await.map(drop) })))
}

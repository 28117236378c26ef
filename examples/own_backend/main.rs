//! A backend of your own at work: `cargo run --example own_backend`.
//!
//! `cargo test --test own_backend` checks it against every promise of the store's contract.

mod list;
mod list_store;

use std::error::Error;
use std::sync::Arc;

use dataapi::{Decision, Dialogs, Evidence, NewDialog, PageRequest, RefKey, SystemClock};

use list_store::ListStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A store whose data outlives the process must take its key from a cryptographic random source.
    let store = ListStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
    store.insert(NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?).await?;
    store.insert(NewDialog::parse("ben", "d-2", "de", "Wo ist mein Paket?")?).await?;
    store.decide("d-1".parse()?, Decision::Granted, Evidence::default()).await?;

    let page = store.query(&PageRequest::default()).await?;
    for dialog in &page.items {
        println!("{} {}", dialog.date(), dialog.text().as_str());
    }
    println!("{} of 2 dialogs can be read.", page.items.len());
    Ok(())
}

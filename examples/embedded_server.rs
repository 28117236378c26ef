//! The server inside your own tokio program, on a store that the program also uses.
//!
//! Run `cargo run --example embedded_server`, then `curl` the address that it prints. Ctrl-C ends it.

use std::error::Error;
use std::sync::Arc;

use dataapi::{Decision, Evidence, NewDialog};
use dataapi_server::{Config, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = dataapi::open("memory:").await?;
    // Port 0 means any free port.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/v1/data/", listener.local_addr()?);

    let interrupted = async {
        // If there is no signal handler, the process can only be killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    let server = tokio::spawn(serve(Arc::clone(&store), Config::default(), listener, interrupted));

    // The server returns what this program stores, and the other way round.
    let dialog = NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?;
    store.insert(dialog).await?;
    store.decide("d-1".parse()?, Decision::Granted, Evidence::default()).await?;

    server.await?;
    Ok(())
}

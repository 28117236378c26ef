//! The server inside a tokio program of one's own, on a store that the program uses as well.
//!
//! `cargo run --example embedded_server`, then `curl` the address it prints; Ctrl-C ends it.

use std::error::Error;
use std::sync::Arc;

use dataapi::{Decision, Evidence, NewDialog};
use dataapi_server::{Config, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = dataapi::open("memory:").await?;
    // Port 0: whichever is free.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/v1/data/", listener.local_addr()?);

    let interrupted = async {
        // Without a signal handler there is no way to stop but to be killed.
        let _ = tokio::signal::ctrl_c().await;
    };
    let server = tokio::spawn(serve(Arc::clone(&store), Config::default(), listener, interrupted));

    // What this program stores, the server answers with, and the other way round.
    let dialog = NewDialog::parse("anna", "d-1", "en", "Where is my parcel?")?;
    store.insert(dialog).await?;
    store.decide("d-1".parse()?, Decision::Granted, Evidence::default()).await?;

    server.await?;
    Ok(())
}

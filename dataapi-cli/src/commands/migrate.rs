//! `dataapi migrate`: a store made, or its schema brought up to date.

use dataapi::OpenOptions;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};

pub(super) async fn run(args: &args::Migrate, context: &Context) -> Result<Exit, Failure> {
    let store = OpenOptions::default().shards(args.shards).open(&context.url).await?;
    store.ready().await?;
    context.note(&format!("{} is up to date", dataapi::shown(&context.url)));
    Ok(Exit::Done)
}

//! `dataapi migrate`: a store made, or its schema brought up to date.

use dataapi::OpenOptions;

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

pub(super) async fn run(args: &args::Migrate, context: &Context) -> Result<Exit, CommandError> {
    let store = OpenOptions::default().shards(args.shards).open(&context.url).await?;
    store.ready().await?;
    context.note(&format!("{} is up to date", dataapi::shown(&context.url)));
    Ok(Exit::Done)
}

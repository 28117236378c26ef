//! `dataapi migrate`: creates a store, or updates its schema.

use dataapi::OpenOptions;

use crate::args::MigrateArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

pub(super) async fn run(args: &MigrateArgs, context: &Context) -> Result<Exit, CommandError> {
    let store = OpenOptions::default().shards(args.shards).open(&context.store_url).await?;
    store.ready().await?;
    context.note(&format!("the schema of {} is up to date", dataapi::shown(&context.store_url)));
    Ok(Exit::Done)
}

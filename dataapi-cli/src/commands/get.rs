//! `dataapi get`: prints one consented dialog.

use dataapi::{CustomerId, DialogId, Reach};
use dataapi_wire::Dialog;

use crate::args::GetArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: &GetArgs, context: &Context) -> Result<Exit, CommandError> {
    let (customer, dialog): (CustomerId, DialogId) = (args.customer.parse()?, args.dialog.parse()?);
    let store = context.open_existing().await?;
    let dialog = store.dialog(&customer, &dialog, &Reach::default()).await?;
    let mut output = Output::stdout();
    output.json(&Dialog::from(&dialog))?;
    output.finish()?;
    Ok(Exit::Done)
}

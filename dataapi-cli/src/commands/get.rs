//! `dataapi get`: one consented dialog.

use dataapi::{CustomerId, DialogId, Reach};

use crate::args;
use crate::context::Context;
use crate::error::CommandError;
use crate::exchange::Record;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: &args::Get, context: &Context) -> Result<Exit, CommandError> {
    let (customer, dialog): (CustomerId, DialogId) = (args.customer.parse()?, args.dialog.parse()?);
    let store = context.open_existing().await?;
    let dialog = store.dialog(&customer, &dialog, &Reach::default()).await?;
    let mut output = Output::stdout();
    output.json(&Record::from(&dialog))?;
    output.finish()?;
    Ok(Exit::Done)
}

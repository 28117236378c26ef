//! `dataapi erase`: one dialog, or all that is held on a customer.

use std::io::{self, BufRead, IsTerminal, Write};

use dataapi::{CustomerId, DialogId, Invalid};

use crate::args;
use crate::context::{self, Context};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn run(args: args::Erase, context: &Context) -> Result<Exit, Failure> {
    let (customer, dialog, yes): (CustomerId, Option<DialogId>, bool) = match args {
        args::Erase::Dialog { customer, dialog, yes } => {
            (customer.parse()?, Some(dialog.parse()?), yes)
        }
        args::Erase::Customer { customer, yes } => (customer.parse()?, None, yes),
    };
    let store = context.open_existing().await?;
    let what = if dialog.is_some() { "this dialog" } else { "everything held on this customer" };
    if !yes && !is_confirmed(what)? {
        context::say("nothing was erased");
        return Ok(Exit::NotDone);
    }
    let erased = match dialog {
        Some(dialog) => store.erase_dialog(&customer, &dialog).await.map(|()| 1)?,
        None => store.erase_customer(&customer).await?,
    };
    let mut output = Output::stdout();
    writeln!(output, "{erased} erased")?;
    output.finish()?;
    Ok(context.scrub(&*store).await)
}

/// Asks whoever sits at the terminal; where nobody does, the command itself is the answer.
fn is_confirmed(what: &str) -> Result<bool, Failure> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() {
        return Ok(true);
    }
    if !stderr.is_terminal() {
        return Err(Invalid::new("--yes", "must be given where the question cannot be seen").into());
    }
    write!(stderr, "Erase {what}, for good? [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(Failure::Input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

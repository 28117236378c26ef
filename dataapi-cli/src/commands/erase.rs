//! `dataapi erase`: erases one dialog, or everything stored about a customer.

use std::io::{self, BufRead, IsTerminal, Write};

use dataapi::{CustomerId, DialogId, DialogStore, Invalid, Limit, SubjectRequest, Window};

use crate::args::{EraseArgs, EraseCustomerArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::say;

pub(super) async fn run(args: EraseArgs, context: &Context) -> Result<Exit, CommandError> {
    match args {
        EraseArgs::Dialog { customer, dialog, yes } => {
            dialog_of(&customer.parse()?, &dialog.parse()?, yes, context).await
        }
        EraseArgs::Customer(args) => customer(args, context).await,
    }
}

/// Erases everything stored about a customer; with `--dry-run`, only counts it.
pub(super) async fn customer(
    args: EraseCustomerArgs,
    context: &Context,
) -> Result<Exit, CommandError> {
    let customer: CustomerId = args.customer.parse()?;
    let store = context.open_existing().await?;
    if args.dry_run {
        let held = count(&*store, customer).await?;
        return tell(&format!("{held} would be erased"));
    }
    if !args.yes && !is_confirmed("everything stored about this customer")? {
        return Ok(declined());
    }
    let erased = store.erase_customer(&customer).await?;
    tell(&format!("{erased} erased"))?;
    Ok(context.scrub(&*store).await)
}

async fn dialog_of(
    customer: &CustomerId,
    dialog: &DialogId,
    yes: bool,
    context: &Context,
) -> Result<Exit, CommandError> {
    let store = context.open_existing().await?;
    if !yes && !is_confirmed("this dialog")? {
        return Ok(declined());
    }
    store.erase_dialog(customer, dialog).await?;
    tell("1 erased")?;
    Ok(context.scrub(&*store).await)
}

async fn count(store: &dyn DialogStore, customer: CustomerId) -> Result<u64, CommandError> {
    let window = Window { limit: Limit::new(1)?, ..Window::default() };
    let page = store.subject_data(&SubjectRequest::new(customer, window)?).await?;
    Ok(page.total.unwrap_or_default())
}

fn tell(line: &str) -> Result<Exit, CommandError> {
    let mut output = Output::stdout();
    writeln!(output, "{line}")?;
    output.finish()?;
    Ok(Exit::Done)
}

fn declined() -> Exit {
    say("nothing was erased");
    Exit::NotDone
}

/// Asks the person at the terminal. If standard input is not a terminal, the command counts as confirmed.
fn is_confirmed(what: &str) -> Result<bool, CommandError> {
    let (stdin, mut stderr) = (io::stdin(), io::stderr());
    if !stdin.is_terminal() {
        return Ok(true);
    }
    if !stderr.is_terminal() {
        return Err(Invalid::new(
            "--yes",
            "is needed, because standard error is not a terminal and nobody would see the question",
        )
        .into());
    }
    write!(stderr, "Erase {what}? This cannot be undone. [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(CommandError::Input)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

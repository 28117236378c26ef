//! `dataapi check`: checks a store's file for damage.

use std::io::Write;

use dataapi::Damage;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;
use crate::terminal::say;

pub(super) async fn run(context: &Context) -> Result<Exit, CommandError> {
    for exposed in dataapi::exposure(&context.store_url)? {
        say(&format!("warning: {exposed}"));
    }
    let damage = dataapi::check(&context.store_url).await?;
    if damage.is_empty() {
        let mut output = Output::stdout();
        writeln!(output, "no damage found in the pages, the schema, the counts and the ledger")?;
        output.finish()?;
        return Ok(Exit::Done);
    }
    for damage in &damage {
        say(&format!("error: {damage}"));
    }
    if damage.iter().all(|damage| matches!(damage, Damage::Foreign { .. })) {
        return Ok(Exit::NotDone);
    }
    say(
        "       stop every program that writes to the store, keep a copy of its files, and restore a backup",
    );
    Ok(Exit::NotDone)
}

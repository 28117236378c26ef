//! `dataapi key`: creates, lists and revokes the keys for a server.

use std::io::Write;

use dataapi::{Clock, Grant, Invalid, NewKey, Reach, SystemClock};

use crate::args::{CreateKeyArgs, KeyArgs};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::formats::jsonl::KeyJson;
use crate::formats::table::key_table;
use crate::output::Output;
use crate::terminal::say;

pub(super) async fn run(args: KeyArgs, context: &Context) -> Result<Exit, CommandError> {
    match args {
        KeyArgs::Create(args) => create(args, context).await,
        KeyArgs::List { json } => list(json, context).await,
        KeyArgs::Revoke { name } => {
            let store = context.open_existing().await?;
            if store.revoke_key(&name.parse()?).await? {
                context.note("the key is revoked; servers refuse it within a second");
                return Ok(Exit::Done);
            }
            say("error: there is no key with this name; 'dataapi key list' shows all keys");
            Ok(Exit::NotDone)
        }
    }
}

async fn create(args: CreateKeyArgs, context: &Context) -> Result<Exit, CommandError> {
    let name = args.name.parse()?;
    let grant = Grant::new(args.role.parse()?, reach(&args)?)?;
    let store = context.open_or_create().await?;
    let expires = args.expires.map(|after| SystemClock.now().saturating_add(after));
    let secret = dataapi::generate_key()?;
    store.create_key(NewKey { name, grant, hash: secret.hash(), expires }).await?;
    let mut output = Output::stdout();
    writeln!(output, "{secret}")?;
    output.finish()?;
    context.note("this is the only time the key is shown: the store keeps only its hash");
    Ok(Exit::Done)
}

fn reach(args: &CreateKeyArgs) -> Result<Reach, Invalid> {
    let mut reach = Reach::default();
    if !args.only_language.is_empty() {
        let languages = args.only_language.iter().map(|tag| tag.parse());
        reach = reach.only_languages(languages.collect::<Result<_, _>>()?)?;
    }
    if let Some(prefix) = &args.only_customers {
        reach = reach.only_customers(prefix.parse()?);
    }
    Ok(reach)
}

async fn list(json: bool, context: &Context) -> Result<Exit, CommandError> {
    let keys = context.open_existing().await?.keys().await?;
    let now = SystemClock.now();
    let mut output = Output::stdout();
    if json {
        for key in &keys {
            output.json(&KeyJson::new(key, now))?;
        }
    } else {
        writeln!(output, "{}", key_table(&keys, now))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

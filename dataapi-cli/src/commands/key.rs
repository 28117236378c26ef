//! `dataapi key`: the keys that a server asks for.

use std::io::Write;

use comfy_table::{Table, presets};
use dataapi::{Clock, Date, Key, NewKey, Roles, SystemClock};
use serde::Serialize;

use crate::args;
use crate::context::{self, Context};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(super) async fn run(args: args::Key, context: &Context) -> Result<Exit, Failure> {
    match args {
        args::Key::Create(args) => create(args, context).await,
        args::Key::List { json } => list(json, context).await,
        args::Key::Revoke { name } => {
            let store = context.open_existing().await?;
            if store.revoke_key(&name.parse()?).await? {
                context.note("revoked; servers refuse it within a second");
                return Ok(Exit::Done);
            }
            context::say("error: there is no key of that name; 'dataapi key list' has them all");
            Ok(Exit::NotDone)
        }
    }
}

async fn create(args: args::CreateKey, context: &Context) -> Result<Exit, Failure> {
    let (name, roles) = (args.name.parse()?, args.role.parse::<Roles>()?);
    let store = context.open_or_create().await?;
    let expires = args.expires.map(|after| SystemClock.now().saturating_add(after));
    let secret = dataapi::generate_key()?;
    store.create_key(NewKey { name, roles, hash: secret.hash(), expires }).await?;
    let mut output = Output::stdout();
    writeln!(output, "{secret}")?;
    output.finish()?;
    context.note("this is the key, shown once: the store keeps no more than its hash");
    Ok(Exit::Done)
}

async fn list(json: bool, context: &Context) -> Result<Exit, Failure> {
    let keys = context.open_existing().await?.keys().await?;
    let now = SystemClock.now();
    let mut output = Output::stdout();
    if json {
        for key in &keys {
            output.json(&Line::new(key, now))?;
        }
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(["name", "roles", "state", "created", "expires", "last used"]);
        for key in &keys {
            let Line { name, roles, state, created, expires, last_used, .. } = Line::new(key, now);
            let [expires, last_used] = [expires, last_used].map(Option::unwrap_or_default);
            table.add_row([name, &roles.join(","), state, &created, &expires, &last_used]);
        }
        writeln!(output, "{table}")?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// A key as it is listed.
#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    roles: Vec<&'static str>,
    /// `works`, `expired` or `revoked`.
    state: &'static str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
}

impl<'a> Line<'a> {
    fn new(key: &'a Key, now: Date) -> Self {
        let state = match key.revoked {
            Some(_) => "revoked",
            None if key.works(now) => "works",
            None => "expired",
        };
        let text = |date: Option<Date>| date.map(|date| date.to_string());
        Self {
            name: key.name.as_str(),
            roles: key.roles.iter().map(dataapi::Role::name).collect(),
            state,
            created: key.created.to_string(),
            expires: text(key.expires),
            revoked: text(key.revoked),
            last_used: text(key.last_used),
        }
    }
}

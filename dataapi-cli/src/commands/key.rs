//! `dataapi key`: the keys that a server asks for.

use std::io::Write;

use comfy_table::{Table, presets};
use dataapi::{
    Clock, CustomerPrefix, Date, Grant, Invalid, Key, Language, NewKey, Reach, Role, SystemClock,
};
use serde::Serialize;

use crate::args;
use crate::context::{self, Context};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

pub(super) async fn run(args: args::Key, context: &Context) -> Result<Exit, CommandError> {
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

async fn create(args: args::CreateKey, context: &Context) -> Result<Exit, CommandError> {
    let name = args.name.parse()?;
    let grant = Grant::new(args.role.parse()?, reach(&args)?)?;
    let store = context.open_or_create().await?;
    let expires = args.expires.map(|after| SystemClock.now().saturating_add(after));
    let secret = dataapi::generate_key()?;
    store.create_key(NewKey { name, grant, hash: secret.hash(), expires }).await?;
    let mut output = Output::stdout();
    writeln!(output, "{secret}")?;
    output.finish()?;
    context.note("this is the key, shown once: the store keeps no more than its hash");
    Ok(Exit::Done)
}

fn reach(args: &args::CreateKey) -> Result<Reach, Invalid> {
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
            output.json(&Line::new(key, now))?;
        }
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header([
            "name",
            "roles",
            "languages",
            "customers",
            "state",
            "created",
            "expires",
            "last used",
        ]);
        for key in &keys {
            let line = Line::new(key, now);
            let customers = line.only_customers.map_or("any".into(), |prefix| format!("{prefix}…"));
            let languages = match &line.only_languages[..] {
                [] => "any".to_owned(),
                bound => bound.join(","),
            };
            table.add_row([
                line.name,
                &line.roles.join(","),
                &languages,
                &customers,
                line.state,
                &line.created,
                &line.expires.unwrap_or_default(),
                &line.last_used.unwrap_or_default(),
            ]);
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only_languages: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    only_customers: Option<&'a str>,
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
        let reach = key.grant.reach();
        let text = |date: Option<Date>| date.map(|date| date.to_string());
        Self {
            name: key.name.as_str(),
            roles: key.grant.roles().iter().map(Role::name).collect(),
            only_languages: reach.languages().iter().map(Language::as_str).collect(),
            only_customers: reach.customers().map(CustomerPrefix::as_str),
            state,
            created: key.created.to_string(),
            expires: text(key.expires),
            revoked: text(key.revoked),
            last_used: text(key.last_used),
        }
    }
}

//! A table of a server's keys.

use comfy_table::{Table, presets};
use dataapi::{Date, Key};

use crate::formats::jsonl::KeyJson;

pub(crate) fn key_table(keys: &[Key], now: Date) -> Table {
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
    for key in keys {
        let key = KeyJson::new(key, now);
        let customers = key.only_customers.map_or("any".into(), |prefix| format!("{prefix}…"));
        let languages = match &key.only_languages[..] {
            [] => "any".to_owned(),
            bound => bound.join(","),
        };
        table.add_row([
            key.name,
            &key.roles.join(","),
            &languages,
            &customers,
            key.state,
            &key.created,
            &key.expires.unwrap_or_default(),
            &key.last_used.unwrap_or_default(),
        ]);
    }
    table
}

//! The table of keys. It has few rows, which are read all at once.

use dataapi_core::{
    CustomerPrefix, Date, Grant, Invalid, Key, KeyHash, KeyName, Language, Reach, Roles,
};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::rows::{checksum, values};

const COLUMNS: &str =
    "name, roles, languages, customers, hash, created, expires, revoked, last_used, checksum";

/// All keys, by name.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Key>> {
    let sql = format!("SELECT {COLUMNS} FROM api_key ORDER BY name");
    connection.prepare_cached(&sql)?.query_map((), read)?.collect()
}

/// Adds a key. Returns false if its name is taken.
pub(crate) fn add(connection: &Connection, key: &Key) -> rusqlite::Result<bool> {
    let reach = key.grant.reach();
    let languages: Vec<_> = reach.languages().iter().map(Language::as_str).collect();
    let added = connection
        .prepare_cached(&format!(
            "INSERT INTO api_key ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT DO NOTHING"
        ))?
        .execute((
            key.name.as_str(),
            key.grant.roles().bits(),
            (!languages.is_empty()).then(|| languages.join(",")),
            reach.customers().map(CustomerPrefix::as_str),
            key.hash.as_bytes(),
            key.created.as_micros(),
            key.expires.map(Date::as_micros),
            key.revoked.map(Date::as_micros),
            key.last_used.map(Date::as_micros),
            checksum::api_key(key),
        ))?;
    Ok(added == 1)
}

/// Revokes a key unless it is revoked already. Returns false if there is no such key.
pub(crate) fn revoke(connection: &Connection, name: &KeyName, now: Date) -> rusqlite::Result<bool> {
    change(connection, name, |key| {
        key.revoked.get_or_insert(now);
    })
}

/// Keeps when a key was last used. Returns false if there is no such key.
pub(crate) fn note_use(
    connection: &Connection,
    name: &KeyName,
    at: Date,
) -> rusqlite::Result<bool> {
    change(connection, name, |key| key.last_used = key.last_used.max(Some(at)))
}

/// Changes when a key was revoked or last used. Returns false if there is no such key.
fn change(
    connection: &Connection,
    name: &KeyName,
    change: impl FnOnce(&mut Key),
) -> rusqlite::Result<bool> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM api_key WHERE name = ?1"))?
        .query_row([name.as_str()], read)
        .optional()?;
    let Some(mut key) = found else { return Ok(false) };
    change(&mut key);
    connection
        .prepare_cached(
            "UPDATE api_key SET revoked = ?2, last_used = ?3, checksum = ?4 WHERE name = ?1",
        )?
        .execute((
            name.as_str(),
            key.revoked.map(Date::as_micros),
            key.last_used.map(Date::as_micros),
            checksum::api_key(&key),
        ))?;
    Ok(true)
}

/// Reads [`COLUMNS`] and checks that they are as they were written.
fn read(row: &Row<'_>) -> rusqlite::Result<Key> {
    let key = Key {
        name: values::parsed(row, 0)?,
        grant: grant(row.get(1)?, row.get(2)?, row.get(3)?).map_err(|_| values::damaged(1))?,
        hash: KeyHash::from_bytes(row.get(4)?),
        created: values::date(row, 5)?,
        expires: values::optional_date(row, 6)?,
        revoked: values::optional_date(row, 7)?,
        last_used: values::optional_date(row, 8)?,
    };
    if row.get::<_, i64>(9)? == i64::from(checksum::api_key(&key)) {
        Ok(key)
    } else {
        Err(values::damaged(9))
    }
}

fn grant(
    roles: u16,
    languages: Option<String>,
    customers: Option<String>,
) -> Result<Grant, Invalid> {
    let mut reach = Reach::default();
    if let Some(languages) = languages {
        let languages = languages.split(',').map(str::parse).collect::<Result<_, _>>()?;
        reach = reach.only_languages(languages)?;
    }
    if let Some(customers) = customers {
        reach = reach.only_customers(customers.parse()?);
    }
    Grant::new(Roles::from_bits(roles)?, reach)
}

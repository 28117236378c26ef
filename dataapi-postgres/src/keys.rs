//! The keys in the database. There are few, and all are read at once.

use dataapi_core::{
    CustomerPrefix, Date, Grant, Invalid, Key, KeyHash, KeyName, Language, NewKey, Reach, Roles,
};
use deadpool_postgres::GenericClient;
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::pool::Lent;
use crate::read::{Readers, SqlQuery};
use crate::rows::{self, damaged, get};

const COLUMNS: &str =
    "name, roles, languages, customers, hash, created, expires, revoked, last_used";

/// Returns all keys, ordered by name.
pub(crate) async fn all(readers: &Readers) -> Result<Vec<Key>, PostgresError> {
    let query = SqlQuery::new(format!("SELECT {COLUMNS} FROM dataapi.api_key ORDER BY name"));
    readers.rows(&query).await?.iter().map(read).collect()
}

/// Adds a key. Refuses it if its name is taken.
pub(crate) async fn add(lent: Lent, key: NewKey, now: Date) -> Result<Date, PostgresError> {
    let is_added = insert(lent.client()?, &key.kept(now)).await?;
    lent.give_back();
    if is_added {
        Ok(now)
    } else {
        Err(Invalid::new("name", "must not be the name of another key").into())
    }
}

/// Adds a key unchanged. Returns whether its name was free.
pub(crate) async fn insert(client: &impl GenericClient, key: &Key) -> Result<bool, PostgresError> {
    let reach = key.grant.reach();
    let languages: Vec<_> = reach.languages().iter().map(Language::as_str).collect();
    // Roles have fifteen bits at most.
    let roles = key.grant.roles().bits().cast_signed();
    let sql = format!(
        "INSERT INTO dataapi.api_key ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (name) DO NOTHING"
    );
    let added = client
        .execute(
            &client.prepare_cached(&sql).await?,
            &[
                &key.name.as_str(),
                &roles,
                &(!languages.is_empty()).then_some(languages),
                &reach.customers().map(CustomerPrefix::as_str),
                &key.hash.as_bytes().as_slice(),
                &key.created.as_micros(),
                &key.expires.map(Date::as_micros),
                &key.revoked.map(Date::as_micros),
                &key.last_used.map(Date::as_micros),
            ],
        )
        .await?;
    Ok(added == 1)
}

/// Revokes a key that is not revoked yet. Returns false if there is no such key.
pub(crate) async fn revoke(lent: Lent, name: &KeyName, now: Date) -> Result<bool, PostgresError> {
    let client = lent.client()?;
    let sql = "UPDATE dataapi.api_key SET revoked = coalesce(revoked, $2) WHERE name = $1";
    let statement = client.prepare_cached(sql).await?;
    let found = client.execute(&statement, &[&name.as_str(), &now.as_micros()]).await?;
    lent.give_back();
    Ok(found > 0)
}

/// Records when keys were used.
pub(crate) async fn note_use(lent: Lent, used: &[(KeyName, Date)]) -> Result<(), PostgresError> {
    let client = lent.client()?;
    let sql = "UPDATE dataapi.api_key SET last_used = $2
                WHERE name = $1 AND (last_used IS NULL OR last_used < $2)";
    let statement = client.prepare_cached(sql).await?;
    for (name, date) in used {
        client.execute(&statement, &[&name.as_str(), &date.as_micros()]).await?;
    }
    lent.give_back();
    Ok(())
}

fn read(row: &Row) -> Result<Key, PostgresError> {
    let roles = u16::try_from(get::<i16>(row, 1)?).map_err(|_| damaged("key"))?;
    Ok(Key {
        name: rows::parsed(row, 0)?,
        grant: grant(roles, get(row, 2)?, get(row, 3)?).map_err(|_| damaged("key"))?,
        hash: KeyHash::from_bytes(rows::bytes32(row, 4)?),
        created: rows::date(row, 5)?,
        expires: rows::optional_date(row, 6)?,
        revoked: rows::optional_date(row, 7)?,
        last_used: rows::optional_date(row, 8)?,
    })
}

fn grant(
    roles: u16,
    languages: Option<Vec<String>>,
    customers: Option<String>,
) -> Result<Grant, Invalid> {
    let mut reach = Reach::default();
    if let Some(languages) = languages {
        let languages = languages.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        reach = reach.only_languages(languages)?;
    }
    if let Some(customers) = customers {
        reach = reach.only_customers(customers.parse()?);
    }
    Grant::new(Roles::from_bits(roles)?, reach)
}

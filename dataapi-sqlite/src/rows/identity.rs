//! What identifies a store and never changes: its secret key and its chains.

use dataapi_core::RefKey;
use rusqlite::Connection;

use crate::error::OpenError;
use crate::rows::chains::Chains;
use crate::rows::{checksum, values};

/// What identifies a store and never changes.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) key: RefKey,
    pub(crate) chains: Chains,
}

impl Identity {
    pub(crate) fn load(connection: &Connection) -> Result<Self, OpenError> {
        Ok(Self { key: ref_key(connection)?, chains: Chains::load(connection)? })
    }
}

/// Reads the secret key of the store, which was created with it.
pub(crate) fn ref_key(connection: &Connection) -> Result<RefKey, OpenError> {
    let (key, check) = connection.query_row("SELECT ref_key, ref_check FROM store", (), |row| {
        Ok((row.get(0)?, row.get::<_, u32>(1)?))
    })?;
    if checksum::ref_key(&key) == check {
        Ok(RefKey::from_bytes(key))
    } else {
        Err(values::damaged(0).into())
    }
}

/// Sets the secret key of a new store.
pub(crate) fn set_key(connection: &Connection, key: &RefKey) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE store SET ref_key = ?1, ref_check = ?2",
            (key.as_bytes(), checksum::ref_key(key.as_bytes())),
        )
        .map(|_| ())
}

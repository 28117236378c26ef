//! Creates and revokes keys, and notes their use.

use dataapi_core::{Date, Invalid, KeyName, NewKey};

use crate::error::SqliteError;
use crate::rows::keys;
use crate::write::transaction::Transaction;

impl Transaction<'_> {
    /// Adds a key, and returns the date of its creation.
    pub(crate) fn create_key(&mut self, key: &NewKey) -> Result<Date, SqliteError> {
        let now = self.now();
        if !keys::add(&self.sql, &key.clone().kept(now))? {
            return Err(Invalid::new("name", "must not be the name of another key").into());
        }
        self.keep_date(now);
        Ok(now)
    }

    /// Revokes a key. Returns false if there is no such key.
    pub(crate) fn revoke_key(&mut self, name: &KeyName) -> Result<bool, SqliteError> {
        let now = self.now();
        let found = keys::revoke(&self.sql, name, now)?;
        if found {
            self.keep_date(now);
        }
        Ok(found)
    }

    /// Notes when keys were used.
    pub(crate) fn note_key_use(&mut self, used: &[(KeyName, Date)]) -> Result<(), SqliteError> {
        for (name, date) in used {
            keys::note_use(&self.sql, name, *date)?;
        }
        Ok(())
    }
}

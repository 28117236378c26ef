//! The keys that clients of a server use.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::key::{Key, KeyName, NewKey};
use crate::values::Date;

/// What an operator does with keys, and a server that checks requests. [`DialogStore`](super::DialogStore) says what
/// every method promises.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Stores a new key and returns the date of its creation.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] if another key has its name, even a revoked one.
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError>;

    /// Returns all keys by name, revoked and expired ones included. There are few of them. A key with a role that only a
    /// later version knows is returned like any other: [`Roles`](crate::Roles) keeps that role and allows nothing.
    async fn keys(&self) -> Result<Vec<Key>, StoreError>;

    /// Revokes a key permanently. Returns whether there is a key of that name. Revoking a key again keeps the first
    /// date.
    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError>;

    /// Records when keys were last used. An earlier date than the recorded one, or a name that no key has, changes
    /// nothing.
    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError>;
}

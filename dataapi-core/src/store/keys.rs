//! The keys that a server lets its clients in with.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::key::{Key, KeyName, NewKey};
use crate::values::Date;

/// What an operator does with keys, and a server that checks requests.
/// [`DialogStore`](super::DialogStore) says what holds for every method.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Keeps a key, as made now, and returns when that is.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] when its name is that of another key, also of a revoked one.
    async fn create_key(&self, key: NewKey) -> Result<Date, StoreError>;

    /// All keys, revoked and expired ones included, by name. They are few.
    async fn keys(&self) -> Result<Vec<Key>, StoreError>;

    /// Revokes a key for good, and tells whether there is one of that name. Revoked again, it keeps its
    /// first date.
    async fn revoke_key(&self, name: &KeyName) -> Result<bool, StoreError>;

    /// Notes when keys were last used. A date earlier than the one that stands, or a name that is no
    /// key's, changes nothing.
    async fn note_key_use(&self, used: Vec<(KeyName, Date)>) -> Result<(), StoreError>;
}

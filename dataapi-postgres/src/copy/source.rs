//! The source of a copy: a store that is locked and read whole.

use async_trait::async_trait;
use dataapi_core::copy::{Rest, Rows, Source, StoreManifest};
use dataapi_core::{Event, Limit, Positions, StoreError};

use crate::connect::Address;
use crate::copy::store_reader::StoreReader;
use crate::error::{OpenError, PostgresError};
use crate::pool::{Lent, primary};
use crate::schema;

/// Locks out writers and lets readers continue. The order of tables is the one in which most transactions use them.
const LOCK: &str = "BEGIN;
    SET LOCAL idle_in_transaction_session_timeout = 0;
    LOCK TABLE dataapi.dialog, dataapi.event, dataapi.chain, dataapi.early_grant, dataapi.tally,
        dataapi.api_key IN SHARE MODE";

/// How often to try for the lock if it deadlocks with a transaction of the store.
const TRIES: usize = 3;

/// A store to copy from. While this exists, no server can write to the store: a write waits, and after a while is
/// refused as unavailable.
pub struct CopySource {
    reading: StoreReader,
    /// The connection whose transaction locks the tables.
    lock: Lent,
}

impl std::fmt::Debug for CopySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopySource").finish_non_exhaustive()
    }
}

impl CopySource {
    /// Opens the store that `url` names and locks it.
    ///
    /// # Errors
    /// See [`OpenError`]. [`OpenError::Store`] if the lock cannot be taken because of other writers.
    ///
    /// # Panics
    /// If it is called outside a tokio runtime.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        let address = Address::parse(url)?;
        let pool = primary(&address, 1)?;
        let identity = {
            let mut connection = pool.get().await.map_err(PostgresError::from)?;
            schema::prepare(&mut connection, None).await?
        };
        let lock = Lent::from(&pool).await?;
        let client = lock.client()?;
        for tried in 1.. {
            match client.batch_execute(LOCK).await.map_err(PostgresError::from) {
                Ok(()) => break,
                Err(PostgresError::InTheWay) if tried < TRIES => {
                    client.batch_execute("ROLLBACK").await?;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(Self { reading: StoreReader::new(&address, identity)?, lock })
    }

    /// Fails if the lock is lost. It ends with its connection.
    async fn check(&self) -> Result<(), PostgresError> {
        Ok(self.lock.client()?.batch_execute("SELECT 1").await?)
    }
}

#[async_trait]
impl Source for CopySource {
    async fn manifest(&mut self) -> Result<StoreManifest, StoreError> {
        self.check().await?;
        Ok(self.reading.manifest().await?)
    }

    async fn events(&mut self, after: &Positions, limit: Limit) -> Result<Vec<Event>, StoreError> {
        Ok(self.reading.events(after, limit).await?)
    }

    async fn rows(&mut self, after: &[u8]) -> Result<Rows, StoreError> {
        Ok(self.reading.rows(after).await?)
    }

    async fn rest(&mut self) -> Result<Rest, StoreError> {
        self.check().await?;
        Ok(self.reading.rest().await?)
    }
}

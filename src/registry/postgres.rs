//! Stores in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;
use dataapi_core::copy::{Source, Target};
use dataapi_postgres::{CopySource, CopyTarget, Options, PostgresStore};

use super::backend::Backend;
use crate::errors::OpenError;
use crate::options::OpenOptions;
use crate::redaction::without_secrets;

pub(super) struct Postgres;

#[async_trait]
impl Backend for Postgres {
    async fn open(
        &self,
        url: &str,
        options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError> {
        let options = Options {
            clock: Arc::clone(&options.clock),
            create: options.create,
            erase_within: options.erase_within,
            shards: options.shards,
            read_replicas: options.read_replicas.clone(),
            ..Options::default()
        };
        Ok(Arc::new(PostgresStore::open(url, options).await?))
    }

    fn unsupported(&self) -> OpenError {
        OpenError::InDatabase
    }

    async fn copy_source(&self, url: &str) -> Result<Box<dyn Source>, OpenError> {
        Ok(Box::new(CopySource::open(url).await?))
    }

    async fn copy_target(&self, url: &str, shards: u16) -> Result<Box<dyn Target>, OpenError> {
        Ok(Box::new(CopyTarget::open(url, shards).await?))
    }

    fn shown(&self, url: &str) -> String {
        without_secrets(url)
    }
}

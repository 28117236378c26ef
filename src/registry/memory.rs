//! Stores in memory, lost when the process ends.

use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::{DialogStore, MemoryStore, RefKey};

use super::backend::Backend;
use crate::errors::OpenError;
use crate::options::OpenOptions;
use crate::randomness::random_bytes;

pub(super) struct Memory;

#[async_trait]
impl Backend for Memory {
    async fn open(
        &self,
        _url: &str,
        options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError> {
        let key = RefKey::from_bytes(random_bytes()?);
        Ok(Arc::new(MemoryStore::new(Arc::clone(&options.clock), key)))
    }

    fn unsupported(&self) -> OpenError {
        OpenError::NoFiles
    }
}

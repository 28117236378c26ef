//! The embedded store.
use std::{path::Path, sync::Arc};
use async_trait::async_trait;
use dataapi_core::*;
#[derive(Debug)]
pub struct SqliteStore;
#[derive(Clone, Debug)]
pub struct Options { pub clock: Arc<dyn Clock>, pub create: bool }
impl Default for Options { fn default() -> Self { Self { clock: Arc::new(SystemClock), create: true } } }
#[derive(Debug, thiserror::Error)]
pub enum OpenError { #[error("x")] X }
impl SqliteStore { pub fn open(_: &Path, _: Options) -> Result<MemoryStore, OpenError> { Ok(MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7;32]))) } }

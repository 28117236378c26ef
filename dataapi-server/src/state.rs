//! The state of the server that all requests share.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dataapi_core::{Clock, DialogStore};
use http::HeaderValue;
use tokio::sync::Semaphore;

use crate::auth::keyring::Keyring;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::body::BodyLimits;
use crate::net::buffers::Buffers;
use crate::net::stopping::Stopping;
use crate::ready_pages::ReadyPages;

/// The state of the server that all requests share.
pub(crate) struct State {
    pub(crate) store: Arc<dyn DialogStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Keyring,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) log_access: bool,
    pub(crate) max_text_bytes: usize,
    pub(crate) hold_early_decisions: Option<Duration>,
    pub(crate) answer_timeout: Duration,
    pub(crate) body_limits: BodyLimits,
    pub(crate) buffers: Buffers,
    pub(crate) ready_pages: ReadyPages,
    pub(crate) is_encrypted: bool,
    pub(crate) metrics: Metrics,
    /// The API's description, as JSON.
    pub(crate) openapi: Bytes,
    /// One permit for each request for data that can be answered at once.
    pub(crate) permits: Semaphore,
    /// Ends what only waits, once the shutdown begins.
    pub(crate) stopping: Stopping,
}

impl State {
    pub(crate) fn new(
        store: Arc<dyn DialogStore>,
        config: &Config,
        metrics: Metrics,
        openapi: Bytes,
    ) -> Self {
        Self {
            store,
            clock: Arc::clone(&config.clock),
            keyring: Keyring::new(config.tokens.clone(), config.max_rate),
            cors_origins: config.cors_origins.clone(),
            log_access: config.log_access,
            max_text_bytes: config.max_text_bytes,
            hold_early_decisions: config.hold_early_decisions,
            answer_timeout: config.answer_timeout,
            body_limits: BodyLimits::new(config.max_text_bytes, config.body_timeout),
            buffers: Buffers::new(config.max_buffered_bytes),
            ready_pages: ReadyPages::new(config.page_cache_bytes),
            is_encrypted: config.tls.is_some(),
            metrics,
            openapi,
            permits: Semaphore::new(config.max_in_flight.min(Semaphore::MAX_PERMITS)),
            stopping: Stopping::default(),
        }
    }
}

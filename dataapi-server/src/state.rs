//! The state of the server that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dataapi_core::{Clock, DialogStore};
use http::HeaderValue;

use crate::auth::keyring::Keyring;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::body::BodyLimits;
use crate::net::buffers::Buffers;
use crate::net::shares::{Kind, Pool, Shares};
use crate::ready_pages::{Encoded, ReadyPages};
use crate::work::Work;

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
    pub(crate) openapi: (Bytes, Arc<Encoded>),
    /// One place for each request for data that can be answered at once.
    pub(crate) places: Arc<Pool>,
    /// The shares of clients without keys.
    pub(crate) shares: Shares,
    pub(crate) work: Work,
    pub(crate) item_sizes: ItemSizes,
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
            openapi: (openapi, Arc::new(Encoded::of_the_program())),
            places: Pool::new(Kind::Places, config.max_in_flight),
            shares: Shares::default(),
            work: Work::new(),
            item_sizes: ItemSizes::default(),
        }
    }
}

/// How many bytes a dialog takes, by what was read lately: the estimate for the next read, which counts as it goes.
#[derive(Debug)]
pub(crate) struct ItemSizes(AtomicUsize);

impl Default for ItemSizes {
    fn default() -> Self {
        Self(AtomicUsize::new(1_000))
    }
}

impl ItemSizes {
    /// About how many bytes so many dialogs take.
    pub(crate) fn expected(&self, items: usize) -> usize {
        self.0.load(Ordering::Relaxed).saturating_mul(items)
    }

    /// Learns from a read. Two that end at once can lose one of their lessons.
    pub(crate) fn learn(&self, items: usize, bytes: usize) {
        if let Some(size) = bytes.checked_div(items) {
            let known = self.0.load(Ordering::Relaxed);
            self.0.store(known - known / 8 + size / 8, Ordering::Relaxed);
        }
    }
}

//! The state of the server that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dataapi_core::{Clock, DialogStore};
use http::HeaderValue;

use crate::auth::access_log::AccessLog;
use crate::auth::keyring::Keyring;
use crate::auth::origin::OwnOrigin;
use crate::config::Config;
use crate::description::Description;
use crate::metrics::Metrics;
use crate::net::body::BodyLimits;
use crate::net::buffers::Buffers;
use crate::net::forwarded::Forwarded;
use crate::net::public_url::{PathPrefix, PublicUrl};
use crate::net::shares::{Kind, Pool, Shares};
use crate::net::stopping::Stopping;
use crate::net::trusted_proxies::TrustedProxies;
use crate::net::web_origin::Scheme;
use crate::readiness::Readiness;
use crate::ready_pages::ReadyPages;
use crate::work::Work;

/// The state of the server that all requests share.
pub(crate) struct State {
    pub(crate) store: Arc<dyn DialogStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Keyring,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) max_text_bytes: usize,
    pub(crate) hold_early_decisions: Option<Duration>,
    pub(crate) answer_timeout: Duration,
    pub(crate) body_limits: BodyLimits,
    pub(crate) buffers: Buffers,
    pub(crate) ready_pages: ReadyPages,
    pub(crate) readiness: Readiness,
    pub(crate) is_encrypted: bool,
    pub(crate) metrics: Metrics,
    pub(crate) openapi: Description,
    /// One place for each request for data that can be answered at once.
    pub(crate) places: Arc<Pool>,
    /// The shares of clients without keys.
    pub(crate) shares: Shares,
    pub(crate) work: Work,
    pub(crate) item_sizes: ItemSizes,
    /// Ends what only waits, once the shutdown begins.
    pub(crate) stopping: Stopping,
}

impl State {
    pub(crate) fn new(
        store: Arc<dyn DialogStore>,
        config: &Config,
        metrics: Metrics,
        openapi: Description,
    ) -> Self {
        let trusted_proxies = config.trusted_proxies.clone();
        Self {
            store,
            clock: Arc::clone(&config.clock),
            keyring: Keyring::new(config.tokens.clone(), config.max_rate),
            cors_origins: config.cors_origins.clone(),
            public_url: config.public_url.clone(),
            trusted_proxies: TrustedProxies::new(trusted_proxies, config.public_url.is_none()),
            access_log: access_log(config, &metrics),
            max_text_bytes: config.max_text_bytes,
            hold_early_decisions: config.hold_early_decisions,
            answer_timeout: config.answer_timeout,
            body_limits: BodyLimits::new(config.max_text_bytes, config.body_timeout),
            buffers: Buffers::new(config.max_buffered_bytes),
            ready_pages: ReadyPages::new(config.page_cache_bytes),
            readiness: Readiness::default(),
            is_encrypted: config.tls.is_some(),
            metrics,
            openapi,
            places: Pool::new(Kind::Places, config.max_in_flight),
            shares: Shares::default(),
            work: Work::new(),
            item_sizes: ItemSizes::default(),
            stopping: Stopping::default(),
        }
    }

    /// Returns the path that proxies have stripped: the configured one, or the one that a trusted proxy says.
    pub(crate) fn public_prefix<'s>(&'s self, forwarded: &'s Forwarded) -> &'s str {
        let configured = self.public_url.as_ref().map(PublicUrl::prefix);
        configured.or(forwarded.prefix.as_ref()).map_or("", PathPrefix::as_str)
    }

    /// Returns what is known of the origin under which a browser has sent a request.
    pub(crate) fn own_origin<'s>(&'s self, forwarded: &'s Forwarded) -> OwnOrigin<'s> {
        OwnOrigin {
            public: self.public_url.as_ref().map(PublicUrl::origin),
            scheme: forwarded.scheme.or(self.is_encrypted.then_some(Scheme::Https)),
            host: forwarded.host.as_deref(),
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

#[cfg(test)]
impl State {
    /// The state of a server with an empty store, and with so much room for bodies and answers.
    pub(crate) fn with_room(bytes: usize) -> Self {
        let key = dataapi_core::RefKey::from_bytes([7; 32]);
        let store = dataapi_core::MemoryStore::new(Arc::new(dataapi_core::SystemClock), key);
        let config = Config { max_buffered_bytes: bytes, ..Config::default() };
        let description = Description::new(crate::openapi::description(), None);
        Self::new(Arc::new(store), &config, Metrics::new([].into_iter()), description)
    }
}

fn access_log(config: &Config, metrics: &Metrics) -> Option<AccessLog> {
    let sink = Arc::clone(config.access_log.as_ref()?);
    let (metrics, clock) = (metrics.access_log.clone(), Arc::clone(&config.clock));
    Some(AccessLog::new(sink, metrics, config.require_access_log, clock))
}

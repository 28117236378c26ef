//! The state of the server that all requests share.

use std::sync::Arc;
use std::time::Duration;

use dataapi_core::{Clock, DialogStore};
use http::HeaderValue;
use tokio::sync::Semaphore;

use crate::auth::keyring::Keyring;
use crate::auth::origin::OwnOrigin;
use crate::config::Config;
use crate::description::Description;
use crate::metrics::Metrics;
use crate::net::body::BodyLimits;
use crate::net::buffers::Buffers;
use crate::net::forwarded::Forwarded;
use crate::net::public_url::{PathPrefix, PublicUrl};
use crate::net::trusted_proxies::TrustedProxies;
use crate::net::web_origin::Scheme;
use crate::ready_pages::ReadyPages;

/// The state of the server that all requests share.
pub(crate) struct State {
    pub(crate) store: Arc<dyn DialogStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Keyring,
    pub(crate) cors_origins: Vec<HeaderValue>,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) log_access: bool,
    pub(crate) max_text_bytes: usize,
    pub(crate) hold_early_decisions: Option<Duration>,
    pub(crate) answer_timeout: Duration,
    pub(crate) body_limits: BodyLimits,
    pub(crate) buffers: Buffers,
    pub(crate) ready_pages: ReadyPages,
    pub(crate) is_encrypted: bool,
    pub(crate) metrics: Metrics,
    pub(crate) openapi: Description,
    /// One permit for each request for data that can be answered at once.
    pub(crate) permits: Semaphore,
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

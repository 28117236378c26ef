//! CORS: the answers to browsers that send requests for web pages of other origins.

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::net::web_origin;

/// Returns a layer that lets pages of these origins send requests; `None` if there are no origins.
pub(crate) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins: Arc<[HeaderValue]> = origins.into();
    let is_allowed = move |origin: &HeaderValue, _: &Parts| web_origin::is_among(&origins, origin);
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
        .expose_headers([LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE]);
    Some(layer)
}

//! `/docs`: a page to read about the API and try it, all of it inside the program.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderValue, Response};
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

/// Nothing from another host, and no requests to one; the page sets styles inline and draws its
/// icons as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// The page's files.
pub(crate) struct Docs {
    config: Arc<Config<'static>>,
}

impl Docs {
    pub(crate) fn new() -> Self {
        // Relative, so that the page works under either prefix; and without the badge that a
        // foreign host would draw.
        let config = Config::new(["../openapi.json"])
            .validator_url("none")
            .try_it_out_enabled(true)
            .display_request_duration(true);
        Self { config: Arc::new(config) }
    }

    /// One file of the page; the empty name is the page itself.
    pub(crate) fn file(&self, name: &str) -> Result<Response<Bytes>, Problem> {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&self.config))
            .map_err(|error| Problem::internal(error.to_string()))?
            .ok_or_else(Problem::no_such_route)?;
        let content_type = HeaderValue::try_from(file.content_type).map_err(Problem::internal)?;
        let mut response = Response::new(match file.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        });
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }
}

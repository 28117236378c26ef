//! `/docs`: a page to read about the API and try it, all of it inside the program.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
};
use http::{HeaderValue, Response, StatusCode};
use utoipa_swagger_ui::Config;

use crate::api::answer::Answer;
use crate::path::Prefix;
use crate::problem::Problem;
use crate::request::Request;

/// Nothing from another host, and no requests to one; the page sets styles inline and draws its
/// icons as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// How the page is set up.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Relative, so that the page works under either prefix; and without the badge that a
    // foreign host would draw.
    let config = Config::new(["../openapi.json"])
        .validator_url("none")
        .try_it_out_enabled(true)
        .display_request_duration(true);
    Arc::new(config)
});

/// The way to the page to read about the API and try it
#[utoipa::path(
    get,
    path = "/docs",
    tag = "operations",
    operation_id = "docs",
    responses((status = 308, description = "It is at `/docs/`", headers(("Location" = String, description = "The relative URL of the page"))))
)]
pub(crate) async fn docs_entrance(request: Request<'_>) -> Answer {
    let location = match request.prefix {
        Prefix::Bare => "/docs/",
        Prefix::V1 => "/v1/docs/",
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
    Ok(response)
}

/// The page to read about the API and try it
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "operations",
    operation_id = "docsFile",
    params(("file" = String, Path, description = "A file of the page; none for the page itself")),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/html"),
            (String = "text/css"),
            (String = "text/javascript"),
            ("image/png"),
        )),
        (status = 404, description = "The page has no such file"),
    )
)]
pub(crate) async fn docs_file(request: Request<'_>) -> Answer {
    // The empty name is the page itself.
    let name = request.parameters[0].as_sent();
    let file = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG))
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

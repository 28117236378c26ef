//! Origins: which pages in browsers may ask.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

use crate::problem::Problem;

/// Lets a request pass of this server's own pages, of one of those `origins`, or of no page. Without
/// keys, a page in the browser of someone on this machine could decide and erase.
pub(crate) fn check(
    target: &Uri,
    headers: &HeaderMap,
    origins: &[HeaderValue],
) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let server = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    // Over HTTP/2 it is part of the target.
    let host = match target.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let is_own = server.is_some_and(|(_, server)| Some(server) == host);
    if is_own || origins.contains(origin) { Ok(()) } else { Err(Problem::origin_refused()) }
}

//! Origins: which web pages may send requests.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

use crate::problem::Problem;

/// Accepts a request from this server's own pages, from pages of these `origins`, or from no page. Without this check
/// and without keys, any web page in a browser on this machine could record decisions and erase dialogs.
pub(crate) fn check(
    target: &Uri,
    headers: &HeaderMap,
    origins: &[HeaderValue],
) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let server = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    // Over HTTP/2 the host is part of the target.
    let host = match target.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let is_own = server.is_some_and(|(_, server)| Some(server) == host);
    if is_own || origins.contains(origin) { Ok(()) } else { Err(Problem::origin_refused()) }
}

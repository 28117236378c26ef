//! Turns errors into answers: problem documents (RFC 9457). No other module does.
//!
//! A problem never contains what a client sent: no value, no name of an unknown member, and no message of a parser,
//! which quotes both.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use dataapi_core::{Invalid, Role, StoreError};
use dataapi_wire::{BodyError, ProblemDocument, ProblemKind};
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, InvalidHeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};

use crate::auth::access_sink::Lost;
use crate::net::codings::Coding;
use crate::net::forwarded::Unclear;

/// What a request lacks, for `WWW-Authenticate` (RFC 6750, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Challenge {
    NoKey,
    BadKey,
    Role(Role),
}

impl Challenge {
    fn value(self) -> Result<HeaderValue, InvalidHeaderValue> {
        const REALM: &str = r#"Bearer realm="DataAPI""#;
        match self {
            Self::NoKey => Ok(HeaderValue::from_static(REALM)),
            Self::BadKey => format!(r#"{REALM}, error="invalid_token""#).try_into(),
            Self::Role(role) => {
                let role = role.name();
                format!(r#"{REALM}, error="insufficient_scope", scope="{role}""#).try_into()
            }
        }
    }
}

/// Why a request was refused or failed, and what the answer needs.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    field: Option<&'static str>,
    same_content: Option<bool>,
    allow: Option<String>,
    challenge: Option<Challenge>,
    retry_after: Option<Duration>,
    closes: bool,
    is_cut: bool,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            same_content: None,
            allow: None,
            challenge: None,
            retry_after: None,
            closes: false,
            is_cut: false,
            cause: None,
        }
    }

    /// An invalid query string. The field is the parameter.
    pub(crate) fn bad_query(Invalid { field, reason, .. }: Invalid) -> Self {
        Self { field: Some(field), ..Self::new(ProblemKind::BadQuery, format!("{field} {reason}")) }
    }

    /// A body that is not JSON in UTF-8.
    fn not_json(detail: &'static str) -> Self {
        Self::new(ProblemKind::NotJson, detail)
    }

    /// A request without the key that it needs.
    pub(crate) fn key_needed() -> Self {
        let detail = "the request has no key; send one in the header 'Authorization: Bearer KEY'";
        Self { challenge: Some(Challenge::NoKey), ..Self::new(ProblemKind::KeyNeeded, detail) }
    }

    /// A key that does not work. The client does not learn which of the reasons applies.
    pub(crate) fn key_refused() -> Self {
        let detail = "the key is unknown, expired or revoked";
        Self { challenge: Some(Challenge::BadKey), ..Self::new(ProblemKind::KeyRefused, detail) }
    }

    /// A token that is not accepted. The reason goes to the log only.
    pub(crate) fn token_refused(cause: &'static str) -> Self {
        let detail = "the token cannot be verified, has expired, or is not for this service";
        Self {
            challenge: Some(Challenge::BadKey),
            cause: Some(cause.into()),
            ..Self::new(ProblemKind::TokenRefused, detail)
        }
    }

    /// More requests than the key may make.
    pub(crate) fn rate_limited(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                ProblemKind::RateLimited,
                "the key has made more requests per second than it may; try again later",
            )
        }
    }

    /// A browser's request from a web page of another origin.
    pub(crate) fn origin_refused() -> Self {
        let detail = "requests from web pages of other origins are refused; the operator can allow an origin with \
                      --cors-origin";
        Self::new(ProblemKind::OriginRefused, detail)
    }

    /// A request that names no host, several, or an invalid one. Another server on the way could read it in another way,
    /// so the connection is closed.
    pub(crate) fn bad_host() -> Self {
        let detail = "the request must name exactly one valid host, in the header 'Host'";
        Self { closes: true, ..Self::new(ProblemKind::BadHost, detail) }
    }

    /// A request to a server without keys, to a name that a name server could resolve to anything.
    pub(crate) fn host_refused() -> Self {
        let detail = "without keys the server answers only to names of this machine, such as 'localhost', in the \
                      header 'Host'; to use another name, create a key with 'dataapi key create'";
        Self::new(ProblemKind::HostRefused, detail)
    }

    /// A key that was valid when the request came, but was changed while the request waited.
    pub(crate) fn key_changed() -> Self {
        let detail = "the key was changed while the request waited; nothing was changed; send the request again";
        Self { challenge: Some(Challenge::BadKey), ..Self::new(ProblemKind::KeyRefused, detail) }
    }

    /// A key with a role that only a later version knows. What that role would restrict is unknown, so the key is of no
    /// use here.
    pub(crate) fn role_unknown(role: Role) -> Self {
        let detail = "the key has a role that this version of the server does not know; use another key, or upgrade \
                      the server";
        Self {
            challenge: Some(Challenge::Role(role)),
            ..Self::new(ProblemKind::RoleMissing, detail)
        }
    }

    /// A valid key without the role for this route.
    pub(crate) fn role_missing(role: Role) -> Self {
        let detail = format!("this request needs a key with the role '{}'", role.name());
        Self {
            challenge: Some(Challenge::Role(role)),
            ..Self::new(ProblemKind::RoleMissing, detail)
        }
    }

    /// A key that is bound to other customers or languages.
    pub(crate) fn out_of_reach() -> Self {
        let detail =
            "the key is bound to customers or languages, and this request is outside its bounds";
        Self::new(ProblemKind::OutOfReach, detail)
    }

    /// A path without a route.
    pub(crate) fn no_such_route() -> Self {
        Self::new(ProblemKind::NoSuchRoute, "nothing is served at this path")
    }

    /// A method that the path does not support.
    pub(crate) fn method_not_allowed(allowed: String) -> Self {
        let detail = format!("this path supports only {allowed}");
        Self { allow: Some(allowed), ..Self::new(ProblemKind::MethodNotAllowed, detail) }
    }

    /// A body that did not arrive in time. The server does not wait for the rest and closes the connection.
    pub(crate) fn body_timeout() -> Self {
        let detail = "the body did not arrive in time";
        Self { closes: true, ..Self::new(ProblemKind::BodyTimeout, detail) }
    }

    /// A body that ended early. The server cannot know where the next request begins, so it closes the connection.
    pub(crate) fn body_broke_off() -> Self {
        Self {
            closes: true,
            ..Self::new(ProblemKind::NotJson, "the body ended before it was complete")
        }
    }

    /// A body that is longer than any valid body.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let detail = format!("the body must be at most {limit} bytes");
        Self { closes: true, ..Self::new(ProblemKind::BodyTooLarge, detail) }
    }

    /// A body that is short enough as it is sent and too long when it is decoded.
    pub(crate) fn decoded_body_too_large(limit: usize) -> Self {
        let detail = format!("the decoded body must be at most {limit} bytes");
        Self::new(ProblemKind::BodyTooLarge, detail)
    }

    /// A body in a coding that the server does not know, or in several. The server does not read it.
    pub(crate) fn unknown_coding() -> Self {
        let detail = "the body has a Content-Encoding that is not supported; send it as it is, or with one of gzip \
                      and zstd";
        Self { closes: true, ..Self::new(ProblemKind::UnknownCoding, detail) }
    }

    /// A body that is not in the coding that it says.
    pub(crate) fn wrong_coding() -> Self {
        Self::not_json(
            "the body is not in the coding that its Content-Encoding says, or is not complete",
        )
    }

    /// An answer that is larger than one caller's part of the memory, whatever else is in it.
    pub(crate) fn too_large_an_answer() -> Self {
        let detail = "limit must be lower: these dialogs are too long for one answer; the operator can allow more \
                      with --max-buffered-bytes";
        Self { field: Some("limit"), ..Self::new(ProblemKind::BadQuery, detail) }
    }

    /// A client that has left. Nobody gets this answer.
    pub(crate) fn client_left() -> Self {
        Self { is_cut: true, ..Self::no_room() }
    }

    /// A failure of the server. The cause goes to the log only.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the request failed in the server; the server's log has the cause";
        Self { cause: Some(cause.into()), ..Self::new(ProblemKind::Internal, detail) }
    }

    /// More requests at once than the server answers.
    pub(crate) fn too_many_requests() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                ProblemKind::Overloaded,
                "the server is answering too many requests; nothing was changed; try again later",
            )
        }
    }

    /// More bytes of bodies and answers at once than the server holds in memory.
    pub(crate) fn no_room() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            closes: true,
            ..Self::new(
                ProblemKind::Overloaded,
                "the server holds too many bodies and answers; nothing was changed; try again later",
            )
        }
    }

    /// A write that took too long, so that its outcome is unknown. It gets no answer; its connection is closed.
    pub(crate) fn unknown_outcome(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_cut: true, ..Self::unavailable(cause, Duration::from_secs(1)) }
    }

    /// The store is not available at the moment.
    pub(crate) fn unavailable(
        cause: impl Into<Box<dyn Error + Send + Sync>>,
        retry_after: Duration,
    ) -> Self {
        Self {
            cause: Some(cause.into()),
            retry_after: Some(retry_after),
            ..Self::new(ProblemKind::Unavailable, "the store is not available; try again later")
        }
    }

    /// A request whose line in the access log is lost, although the server must not answer without it.
    pub(crate) fn not_logged(_: Lost) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                ProblemKind::NotLogged,
                "the access log cannot be written, and the operator requires it; nothing was changed; try again later",
            )
        }
    }

    /// The server does not take part any more, because its shutdown has begun.
    pub(crate) fn stopping() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                ProblemKind::Unavailable,
                "the server is stopping; ask another one, or try again later",
            )
        }
    }

    /// The failure of a request that might have changed something before it failed. The detail says so: a store reports
    /// a commit of unknown outcome like any other failure.
    pub(crate) fn in_a_write(self) -> Self {
        if !matches!(self.kind, ProblemKind::Internal | ProblemKind::Unavailable) {
            return self;
        }
        let detail = format!(
            "{}. A change that was under way happened whole or not at all: send the request again to \
             find out",
            self.detail
        );
        Self { detail: detail.into(), ..self }
    }

    /// Takes the cause, for the log.
    pub(crate) fn take_cause(&mut self) -> Option<Box<dyn Error + Send + Sync>> {
        self.cause.take()
    }

    /// Renders the answer.
    pub(crate) fn into_response(self) -> Response<Bytes> {
        let status = self.kind.status();
        let document = ProblemDocument {
            kind: self.kind.urn().into(),
            title: self.kind.title().into(),
            status,
            detail: Cow::Borrowed(&self.detail),
            field: self.field.map(Cow::Borrowed),
            same_content: self.same_content,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() =
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.is_cut {
            response.extensions_mut().insert(Cut);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(ProblemDocument::CONTENT_TYPE));
        if let Some(allow) = self.allow.and_then(|allow| allow.try_into().ok()) {
            headers.insert(ALLOW, allow);
        }
        if let Some(challenge) = self.challenge.and_then(|challenge| challenge.value().ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.kind == ProblemKind::UnknownCoding {
            headers.insert(ACCEPT_ENCODING, Coding::ALL);
        }
        if let Some(retry_after) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(retry_after).into());
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Marks an answer that must not be sent. The connection is closed instead, which means that the outcome is unknown.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request took too long")]
pub(crate) struct Cut;

/// Rounds up to at least one second. With 0, a client would try again at once.
fn whole_seconds(duration: Duration) -> u64 {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    seconds.max(1)
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::NotJson(detail) => Self::not_json(detail),
            BodyError::WrongShape(invalid) => invalid.into(),
        }
    }
}

/// A request through a trusted proxy whose headers do not say clearly where it comes from.
impl From<Unclear> for Problem {
    fn from(unclear: Unclear) -> Self {
        let detail = format!("{unclear}; the operator can correct the proxy's configuration");
        Self::new(ProblemKind::BadForwarding, detail)
    }
}

impl From<Invalid> for Problem {
    fn from(Invalid { field, reason, .. }: Invalid) -> Self {
        Self { field: Some(field), ..Self::new(ProblemKind::Invalid, format!("{field} {reason}")) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::new(ProblemKind::NotFound, "there is no such dialog"),
            StoreError::Exists { same_content } => {
                let detail = if same_content {
                    "the same dialog is already stored"
                } else {
                    "the dialog id is taken; choose another"
                };
                Self { same_content: Some(same_content), ..Self::new(ProblemKind::Exists, detail) }
            }
            StoreError::ConsentRequired => {
                Self::new(ProblemKind::ConsentRequired, "the customer has not consented yet")
            }
            StoreError::Gone => Self::new(
                ProblemKind::Gone,
                "the dialog was withdrawn or erased, and its id stays taken",
            ),
            StoreError::Conflict => Self::new(
                ProblemKind::Conflict,
                "a later grant cannot undo a withdrawal or an erasure",
            ),
            StoreError::Invalid { field, reason } => Invalid::new(field, reason).into(),
            StoreError::Overloaded { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(
                    ProblemKind::Overloaded,
                    "too many requests are waiting for the store; nothing was changed; try again later",
                )
            },
            StoreError::Unavailable { reason, retry_after } => {
                Self::unavailable(reason, retry_after)
            }
            StoreError::Backend { source } => Self::internal(source),
            other => Self::internal(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: StoreError) -> Response<Bytes> {
        Problem::from(error).into_response()
    }

    #[test]
    fn every_store_error_has_its_status() {
        let soon = Duration::from_millis(1);
        let cases = [
            (StoreError::NotFound, 404),
            (StoreError::Exists { same_content: false }, 409),
            (StoreError::ConsentRequired, 403),
            (StoreError::Gone, 410),
            (StoreError::Conflict, 409),
            (Invalid::new("text", "must be").into(), 422),
            (StoreError::Overloaded { retry_after: soon }, 503),
            (StoreError::Unavailable { reason: "disk full".into(), retry_after: soon }, 503),
            (StoreError::backend("broken"), 500),
        ];
        for (error, status) in cases {
            let name = format!("{error:?}");
            assert_eq!(answer(error).status(), status, "{name}");
        }
    }

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, told) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (90_000, "90")] {
            let retry_after = Duration::from_millis(wait);
            let response = answer(StoreError::Overloaded { retry_after });
            assert_eq!(response.headers()[RETRY_AFTER], told);
        }
    }

    #[test]
    fn what_the_operator_learns_the_client_does_not() {
        let causes = [
            StoreError::backend("MARKER"),
            StoreError::Unavailable { reason: "MARKER".into(), retry_after: Duration::ZERO },
        ];
        for cause in causes {
            let mut problem = Problem::from(cause);
            let cause = problem.take_cause().expect("a cause");
            assert!(cause.to_string().contains("MARKER"));
            let body = problem.into_response().into_body();
            assert!(!String::from_utf8_lossy(&body).contains("MARKER"));
        }
    }
}

//! The one place where an error becomes an answer: problem documents (RFC 9457).
//!
//! No problem holds what a client sent: not a value, not the name of a member it made up, not the
//! message of a parser, which quotes both.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use dataapi_core::{Invalid, Role, StoreError};
use dataapi_wire::{BodyError, ProblemDocument, ProblemKind};
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, InvalidHeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response, StatusCode};

/// What a client is told to bring (RFC 6750, section 3).
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

/// A request that was refused or failed, on its way to an answer.
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

    /// A query string that is not understood; the field is the parameter.
    pub(crate) fn bad_query(Invalid { field, reason, .. }: Invalid) -> Self {
        Self { field: Some(field), ..Self::new(ProblemKind::BadQuery, format!("{field} {reason}")) }
    }

    /// A body that is not JSON in UTF-8.
    fn not_json(detail: &'static str) -> Self {
        Self::new(ProblemKind::NotJson, detail)
    }

    /// A request without a key, where one is needed.
    pub(crate) fn key_needed() -> Self {
        let detail = "send a key, as 'Authorization: Bearer' and the key";
        Self { challenge: Some(Challenge::NoKey), ..Self::new(ProblemKind::KeyNeeded, detail) }
    }

    /// A key that does not work; which of the reasons it is, is the operator's to know.
    pub(crate) fn key_refused() -> Self {
        let detail = "the key is not known, or it has expired, or it was revoked";
        Self { challenge: Some(Challenge::BadKey), ..Self::new(ProblemKind::KeyRefused, detail) }
    }

    /// A token that is not taken; why it is not is for the log.
    pub(crate) fn token_refused(cause: &'static str) -> Self {
        let detail = "the token cannot be verified, has ended, or is not meant for this service";
        Self {
            challenge: Some(Challenge::BadKey),
            cause: Some(cause.into()),
            ..Self::new(ProblemKind::TokenRefused, detail)
        }
    }

    /// More requests than a key may make.
    pub(crate) fn rate_limited(retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(
                ProblemKind::RateLimited,
                "this key has made as many requests as it may; ask again later",
            )
        }
    }

    /// A browser that asks for a page of another site.
    pub(crate) fn origin_refused() -> Self {
        let detail = "requests of pages of other sites are not taken; see --cors-origin";
        Self::new(ProblemKind::OriginRefused, detail)
    }

    /// A key that works, but not for this.
    pub(crate) fn role_missing(role: Role) -> Self {
        let detail = format!("this takes a key with the role '{}'", role.name());
        Self {
            challenge: Some(Challenge::Role(role)),
            ..Self::new(ProblemKind::RoleMissing, detail)
        }
    }

    /// A key that is bound to other customers or languages.
    pub(crate) fn out_of_reach() -> Self {
        let detail = "the key is bound to customers or languages, and this lies beyond them";
        Self::new(ProblemKind::OutOfReach, detail)
    }

    /// A path that leads nowhere.
    pub(crate) fn no_such_route() -> Self {
        Self::new(ProblemKind::NoSuchRoute, "nothing is served at this path")
    }

    /// A method that the path does not take.
    pub(crate) fn method_not_allowed(allowed: String) -> Self {
        let detail = format!("this path takes {allowed}");
        Self { allow: Some(allowed), ..Self::new(ProblemKind::MethodNotAllowed, detail) }
    }

    /// A body that did not arrive in time. What is left of it is not waited for.
    pub(crate) fn body_timeout() -> Self {
        let detail = "the body did not arrive in time";
        Self { closes: true, ..Self::new(ProblemKind::BodyTimeout, detail) }
    }

    /// A body that broke off. Its rest cannot be told from a next request.
    pub(crate) fn body_broke_off() -> Self {
        Self { closes: true, ..Self::new(ProblemKind::NotJson, "the body broke off") }
    }

    /// A body longer than any right one can be.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let detail = format!("the body must be at most {limit} bytes");
        Self { closes: true, ..Self::new(ProblemKind::BodyTooLarge, detail) }
    }

    /// A failure that is nobody's business but the operator's.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the request failed in the server; its log says more";
        Self { cause: Some(cause.into()), ..Self::new(ProblemKind::Internal, detail) }
    }

    /// As many requests are being answered as may be.
    pub(crate) fn too_many_requests() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(
                ProblemKind::Overloaded,
                "too many requests are being answered; ask again later",
            )
        }
    }

    /// As much is held in memory for others as may be.
    pub(crate) fn no_room() -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            closes: true,
            ..Self::new(
                ProblemKind::Overloaded,
                "too much is being sent and received; ask again later",
            )
        }
    }

    /// A request that took too long, of which nobody can say whether it was done: it gets no answer.
    pub(crate) fn unknown_outcome(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { is_cut: true, ..Self::unavailable(cause, Duration::from_secs(1)) }
    }

    /// The store cannot be had just now.
    pub(crate) fn unavailable(
        cause: impl Into<Box<dyn Error + Send + Sync>>,
        retry_after: Duration,
    ) -> Self {
        Self {
            cause: Some(cause.into()),
            retry_after: Some(retry_after),
            ..Self::new(
                ProblemKind::Unavailable,
                "the store cannot be had just now; ask again later",
            )
        }
    }

    /// What lies behind it, for the log.
    pub(crate) fn take_cause(&mut self) -> Option<Box<dyn Error + Send + Sync>> {
        self.cause.take()
    }

    /// The answer that tells the client.
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
        if let Some(retry_after) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(retry_after).into());
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Marks an answer that is not to be sent: the connection ends instead, which says that the outcome is not
/// known.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request took too long")]
pub(crate) struct Cut;

/// Rounds up: a client told 0 would ask again at once.
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
                    "this very dialog is already stored"
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
                "a later yes does not undo a withdrawal or an erasure",
            ),
            StoreError::Invalid { field, reason } => Invalid::new(field, reason).into(),
            StoreError::Overloaded { retry_after } => Self {
                retry_after: Some(retry_after),
                ..Self::new(ProblemKind::Overloaded, "too many requests wait; nothing was done")
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

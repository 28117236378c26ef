//! Why a request was refused or failed: problem documents (RFC 9457).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What went wrong, as far as a client reacts to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A query string that is not understood.
    BadQuery,
    /// A body that is not JSON.
    NotJson,
    /// A request without a key, where one is needed.
    KeyNeeded,
    /// A key that does not work.
    KeyRefused,
    /// A token of an identity provider that is not taken.
    TokenRefused,
    /// A page of another site asks.
    OriginRefused,
    /// A key that works, but not for this.
    RoleMissing,
    /// A key that is bound to other customers or languages.
    OutOfReach,
    /// The customer has not consented yet.
    ConsentRequired,
    /// A path that leads nowhere.
    NoSuchRoute,
    /// There is no such dialog.
    NotFound,
    /// A method that the path does not take.
    MethodNotAllowed,
    /// A body that did not arrive in time.
    BodyTimeout,
    /// The id of the dialog is taken.
    Exists,
    /// A grant after a withdrawal or an erasure.
    Conflict,
    /// The dialog was withdrawn or erased before.
    Gone,
    /// A body longer than any right one can be.
    BodyTooLarge,
    /// A value outside its bounds.
    Invalid,
    /// More requests than a key may make.
    RateLimited,
    /// The server failed.
    Internal,
    /// More is waiting than the server or the store takes.
    Overloaded,
    /// The store is not available.
    Unavailable,
}

impl ProblemKind {
    /// The status code of an answer that tells of it.
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// Its name for programs: the `type` of the document.
    ///
    /// ```
    /// assert_eq!(dataapi_wire::ProblemKind::Gone.urn(), "urn:dataapi:problem:gone");
    /// ```
    pub const fn urn(self) -> &'static str {
        self.parts().1
    }

    /// Its name for people.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }

    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadQuery => (400, "urn:dataapi:problem:bad-query", "Bad query"),
            Self::NotJson => (400, "urn:dataapi:problem:not-json", "The body is not JSON"),
            Self::KeyNeeded => (401, "urn:dataapi:problem:key-needed", "A key is needed"),
            Self::KeyRefused => (401, "urn:dataapi:problem:key-refused", "The key is refused"),
            Self::TokenRefused => {
                (401, "urn:dataapi:problem:token-refused", "The token is refused")
            }
            Self::OriginRefused => {
                (403, "urn:dataapi:problem:origin-refused", "Another site's page asks")
            }
            Self::RoleMissing => (403, "urn:dataapi:problem:role-missing", "A role is missing"),
            Self::OutOfReach => (403, "urn:dataapi:problem:out-of-reach", "Out of the key's reach"),
            Self::ConsentRequired => {
                (403, "urn:dataapi:problem:consent-required", "Consent is required")
            }
            Self::NoSuchRoute => (404, "urn:dataapi:problem:no-such-route", "No such route"),
            Self::NotFound => (404, "urn:dataapi:problem:not-found", "No such dialog"),
            Self::MethodNotAllowed => {
                (405, "urn:dataapi:problem:method-not-allowed", "Method not allowed")
            }
            Self::BodyTimeout => {
                (408, "urn:dataapi:problem:body-timeout", "The body took too long")
            }
            Self::Exists => (409, "urn:dataapi:problem:exists", "The dialog id is taken"),
            Self::Conflict => {
                (409, "urn:dataapi:problem:conflict", "A withdrawal or an erasure stands")
            }
            Self::Gone => (410, "urn:dataapi:problem:gone", "The dialog is gone"),
            Self::BodyTooLarge => {
                (413, "urn:dataapi:problem:body-too-large", "The body is too large")
            }
            Self::Invalid => (422, "urn:dataapi:problem:invalid", "A value is outside its bounds"),
            Self::RateLimited => {
                (429, "urn:dataapi:problem:rate-limited", "Too many requests with this key")
            }
            Self::Internal => (500, "urn:dataapi:problem:internal", "The server failed"),
            Self::Overloaded => (503, "urn:dataapi:problem:overloaded", "The server is overloaded"),
            Self::Unavailable => {
                (503, "urn:dataapi:problem:unavailable", "The store is not available")
            }
        }
    }
}

/// Why a request was refused or failed (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Problem))]
pub struct ProblemDocument<'a> {
    /// Names the kind of problem for programs.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "openapi",
        schema(format = "uri", example = "urn:dataapi:problem:consent-required")
    )]
    pub kind: Cow<'a, str>,
    /// Names it for people.
    pub title: Cow<'a, str>,
    /// The status code of this answer.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: Cow<'a, str>,
    /// The parameter or member that has to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub field: Option<Cow<'a, str>>,
    /// When an id is taken: whether customer, text and language are those already stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub same_content: Option<bool>,
}

impl ProblemDocument<'_> {
    /// Its content type.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}

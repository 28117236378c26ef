//! Why a request was refused or failed: problem documents (RFC 9457).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The kinds of problems that a client can react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The query string is invalid.
    BadQuery,
    /// What a trusted proxy says of the request is malformed or contradicts itself.
    BadForwarding,
    /// The request names no host, several, or an invalid one.
    BadHost,
    /// The body is not JSON.
    NotJson,
    /// The request needs a key and has none.
    KeyNeeded,
    /// The key is unknown, expired or revoked.
    KeyRefused,
    /// The token of an identity provider is not accepted.
    TokenRefused,
    /// The request comes from a page of another site.
    OriginRefused,
    /// The server has no keys, and the request is sent to a name that can be another machine's.
    HostRefused,
    /// The key is valid, but lacks the role for this route.
    RoleMissing,
    /// The key is bound to other customers or languages.
    OutOfReach,
    /// The customer has not consented yet.
    ConsentRequired,
    /// There is no route at this path.
    NoSuchRoute,
    /// There is no such dialog.
    NotFound,
    /// The path does not support this method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The dialog id is taken.
    Exists,
    /// A grant came after a withdrawal or an erasure.
    Conflict,
    /// The dialog was withdrawn or erased before.
    Gone,
    /// The body is longer than any valid body.
    BodyTooLarge,
    /// The body has a content coding that the server does not know.
    UnknownCoding,
    /// A value is outside its bounds.
    Invalid,
    /// The key has made more requests than it may.
    RateLimited,
    /// The server failed.
    Internal,
    /// The server or the store has too many requests.
    Overloaded,
    /// The store is not available.
    Unavailable,
    /// The access log cannot be written, and the server must not answer without it.
    NotLogged,
}

impl ProblemKind {
    /// Returns the status code of the answer.
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// Returns the name for programs: the `type` of the document.
    ///
    /// ```
    /// assert_eq!(dataapi_wire::ProblemKind::Gone.urn(), "urn:dataapi:problem:gone");
    /// ```
    pub const fn urn(self) -> &'static str {
        self.parts().1
    }

    /// Returns the name for people: the `title` of the document.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }

    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadQuery => (400, "urn:dataapi:problem:bad-query", "The query is invalid"),
            Self::BadForwarding => {
                (400, "urn:dataapi:problem:bad-forwarding", "The headers of the proxy are unclear")
            }
            Self::BadHost => (400, "urn:dataapi:problem:bad-host", "The host is invalid"),
            Self::NotJson => (400, "urn:dataapi:problem:not-json", "The body is not JSON"),
            Self::KeyNeeded => (401, "urn:dataapi:problem:key-needed", "A key is needed"),
            Self::KeyRefused => (401, "urn:dataapi:problem:key-refused", "The key is refused"),
            Self::TokenRefused => {
                (401, "urn:dataapi:problem:token-refused", "The token is refused")
            }
            Self::OriginRefused => {
                (403, "urn:dataapi:problem:origin-refused", "Requests from other sites are refused")
            }
            Self::HostRefused => {
                (403, "urn:dataapi:problem:host-refused", "Requests to this name need a key")
            }
            Self::RoleMissing => (403, "urn:dataapi:problem:role-missing", "A role is missing"),
            Self::OutOfReach => {
                (403, "urn:dataapi:problem:out-of-reach", "Outside the key's reach")
            }
            Self::ConsentRequired => {
                (403, "urn:dataapi:problem:consent-required", "Consent is required")
            }
            Self::NoSuchRoute => (404, "urn:dataapi:problem:no-such-route", "No such route"),
            Self::NotFound => (404, "urn:dataapi:problem:not-found", "No such dialog"),
            Self::MethodNotAllowed => {
                (405, "urn:dataapi:problem:method-not-allowed", "Method not allowed")
            }
            Self::BodyTimeout => {
                (408, "urn:dataapi:problem:body-timeout", "The body took too long to arrive")
            }
            Self::Exists => (409, "urn:dataapi:problem:exists", "The dialog id is taken"),
            Self::Conflict => {
                (409, "urn:dataapi:problem:conflict", "The dialog was withdrawn or erased")
            }
            Self::Gone => (410, "urn:dataapi:problem:gone", "The dialog is gone"),
            Self::BodyTooLarge => {
                (413, "urn:dataapi:problem:body-too-large", "The body is too large")
            }
            Self::UnknownCoding => {
                (415, "urn:dataapi:problem:unknown-coding", "The coding of the body is unknown")
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
            Self::NotLogged => {
                (503, "urn:dataapi:problem:not-logged", "The access log cannot be written")
            }
        }
    }
}

/// Why a request was refused or failed (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Problem))]
pub struct ProblemDocument<'a> {
    /// The kind of problem, for programs.
    #[serde(rename = "type")]
    #[cfg_attr(
        feature = "openapi",
        schema(format = "uri", example = "urn:dataapi:problem:consent-required")
    )]
    pub kind: Cow<'a, str>,
    /// The kind of problem, for people.
    pub title: Cow<'a, str>,
    /// The status code of this answer.
    pub status: u16,
    /// What was wrong with this request.
    pub detail: Cow<'a, str>,
    /// The parameter or member that must be corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub field: Option<Cow<'a, str>>,
    /// If a dialog id is taken: whether customer, text and language are the same as those already stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub same_content: Option<bool>,
}

impl ProblemDocument<'_> {
    /// The content type of a problem document.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}

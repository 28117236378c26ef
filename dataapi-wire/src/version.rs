//! The name and version of a server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The name and version of the server.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// The name of the program.
    pub name: Cow<'static, str>,
    /// The version of the program.
    pub version: Cow<'static, str>,
    /// The backend of its store, and the optional features that are on; only for `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub features: Option<Vec<Cow<'static, str>>>,
    /// The version of its store's schema, if it has one; only for `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub schema: Option<u32>,
}

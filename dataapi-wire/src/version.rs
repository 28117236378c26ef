//! What a server is.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What the server is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// What it is called.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
    /// The backend of its store, and what is switched on of that which need not be; only for `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub features: Option<Vec<Cow<'static, str>>>,
    /// The version of its store's schema, where there is one; only for `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub schema: Option<u32>,
}

//! The health of a server.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The answer of a healthy server.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Always `ok`; a server with a problem returns a problem document.
    pub status: Cow<'static, str>,
}

impl Health {
    /// The only value of this answer.
    pub const OK: Self = Self { status: Cow::Borrowed("ok") };
}

//! That a server is well.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// That the server is well.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Always `ok`; else there is a problem document.
    pub status: Cow<'static, str>,
}

impl Health {
    /// The only thing that is ever said.
    pub const OK: Self = Self { status: Cow::Borrowed("ok") };
}

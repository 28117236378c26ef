//! Counts of dialogs.

use std::collections::BTreeMap;

use dataapi_core as core;
use serde::{Deserialize, Serialize};

/// The number of dialogs in each state.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stats {
    /// Stored, without a decision yet.
    pub pending: u64,
    /// Consented, so readable.
    pub consented: u64,
    /// Erased because the customer withdrew or refused consent.
    pub withdrawn: u64,
    /// Erased by an operator, by the right to erasure, or by retention.
    pub erased: u64,
    /// Consented dialogs by language tag, in its recommended case.
    pub consented_by_language: BTreeMap<String, u64>,
}

impl From<&core::Stats> for Stats {
    fn from(stats: &core::Stats) -> Self {
        let by_language = stats.consented_by_language.iter();
        Self {
            pending: stats.pending,
            consented: stats.consented,
            withdrawn: stats.withdrawn,
            erased: stats.erased,
            consented_by_language: by_language
                .map(|(language, count)| (language.canonical(), *count))
                .collect(),
        }
    }
}

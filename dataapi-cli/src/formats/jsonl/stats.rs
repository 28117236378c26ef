//! The counts of a store as JSON; only written.

use std::collections::BTreeMap;

use dataapi::Stats;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct StatsJson {
    pending: u64,
    consented: u64,
    withdrawn: u64,
    erased: u64,
    consented_by_language: BTreeMap<String, u64>,
}

impl From<&Stats> for StatsJson {
    fn from(stats: &Stats) -> Self {
        let by_language = &stats.consented_by_language;
        Self {
            pending: stats.pending,
            consented: stats.consented,
            withdrawn: stats.withdrawn,
            erased: stats.erased,
            consented_by_language: by_language
                .iter()
                .map(|(language, count)| (language.canonical(), *count))
                .collect(),
        }
    }
}

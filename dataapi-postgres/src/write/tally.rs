//! What one transaction adds to the number of dialogs in each state.

use std::collections::BTreeMap;

use dataapi_core::Language;

use crate::rows::{folded, state};

/// The changes that a transaction makes to the counts.
#[derive(Debug, Default)]
pub(crate) struct Tally(BTreeMap<(i16, String), i64>);

impl Tally {
    pub(crate) fn pending(&mut self, by: i64) {
        self.add(state::PENDING, String::new(), by);
    }

    pub(crate) fn consented(&mut self, language: &Language, by: i64) {
        self.add(state::CONSENTED, folded(language), by);
    }

    pub(crate) fn gone(&mut self, state: i16, by: i64) {
        self.add(state, String::new(), by);
    }

    /// Returns the rows to add.
    pub(crate) fn rows(self) -> impl Iterator<Item = (i16, String, i64)> {
        let rows = self.0.into_iter().filter(|(_, by)| *by != 0);
        rows.map(|((state, language), by)| (state, language, by))
    }

    fn add(&mut self, state: i16, language: String, by: i64) {
        *self.0.entry((state, language)).or_default() += by;
    }
}

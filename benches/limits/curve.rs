//! The growth of one figure with the number of dialogs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::report;

#[derive(Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// By the number of dialogs.
    pub(crate) figures: BTreeMap<u64, f64>,
    /// The ratio to the figure of the smallest store, by the number of dialogs.
    pub(crate) ratios: BTreeMap<u64, f64>,
    /// The ratio of the largest store.
    pub(crate) growth: f64,
    pub(crate) at_most: Option<f64>,
    pub(crate) reached: Option<bool>,
}

impl Curve {
    /// Makes a curve from the figures of all rounds, by the number of dialogs.
    pub(crate) fn of(
        name: &'static str,
        figures: &BTreeMap<u64, Vec<f64>>,
        at_most: Option<f64>,
    ) -> Option<Self> {
        let figures: BTreeMap<_, _> = figures
            .iter()
            .map(|(dialogs, figures)| Some((*dialogs, report::median(figures.iter().copied())?)))
            .collect::<Option<_>>()?;
        let smallest = *figures.values().next()?;
        let ratios: BTreeMap<_, _> =
            figures.iter().map(|(dialogs, figure)| (*dialogs, figure / smallest)).collect();
        let growth = *ratios.values().next_back()?;
        let reached = at_most.map(|most| growth <= most);
        Some(Self { name, figures, ratios, growth, at_most, reached })
    }
}

//! Reads: the connections that they use, and the queries.

pub(crate) mod budget;
pub(crate) mod changes;
pub(crate) mod counts;
pub(crate) mod dialogs;
pub(crate) mod pages;
#[cfg(test)]
mod plans;
pub(crate) mod readers;
pub(crate) mod revisions;
pub(crate) mod select;
pub(crate) mod snapshots;
pub(crate) mod subject;

//! Reads from the pool of connections or from standbys.

pub(crate) mod counts;
pub(crate) mod dialogs;
mod last_date;
pub(crate) mod ledger;
pub(crate) mod pages;
mod query;
mod readers;
mod replicas;

pub(crate) use last_date::last_date;
pub(crate) use query::{SqlQuery, SqlValue};
pub(crate) use readers::Readers;
pub(crate) use replicas::Replicas;

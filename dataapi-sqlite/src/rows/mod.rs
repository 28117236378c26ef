//! Converts rows of the database to values of the domain and back, with one file for each table or kind of value.

pub(crate) mod chains;
pub(crate) mod checksum;
pub(crate) mod counts;
pub(crate) mod dialogs;
pub(crate) mod early_grants;
pub(crate) mod event_number;
pub(crate) mod identity;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod tombstones;
pub(crate) mod values;

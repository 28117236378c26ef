//! Writes: the one thread that commits them, and the changes that each makes to the database.

pub(crate) mod arrivals;
pub(crate) mod commits;
mod counts;
mod decisions;
mod erasures;
mod keys;
pub(crate) mod transaction;
pub(crate) mod writer;

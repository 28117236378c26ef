//! Writes: the one thread that commits them, and what each does to the database.

pub(crate) mod commits;
pub(crate) mod counts;
pub(crate) mod transaction;
pub(crate) mod writer;

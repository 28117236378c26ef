//! Erasures: which dialogs are due, and how their bytes leave the tables.

mod due;
mod erasures;
mod vacuum;

pub(crate) use due::{due, held_on, oldest_first};
pub(crate) use erasures::Erasures;
pub(crate) use vacuum::vacuum;

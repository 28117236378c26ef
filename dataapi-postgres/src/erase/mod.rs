//! Erasures: the dialogs that are due, and the vacuum that removes their bytes from the tables.

mod due;
mod erasures;
mod vacuum;

pub(crate) use due::{due, held_on, oldest_first};
pub(crate) use erasures::Erasures;
pub(crate) use vacuum::vacuum;

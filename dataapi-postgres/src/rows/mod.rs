//! Converts rows of the database into values of the domain.
//!
//! A row with an impossible value was damaged from outside. That is an error of the backend, never a wrong answer.

mod dialogs;
mod events;
mod values;

pub(crate) use dialogs::{DIALOG_COLUMNS, folded, state, state_after, stored_dialog, whole_dialog};
pub(crate) use events::{EVENT_COLUMNS, event, evidence};
pub(crate) use values::{
    bytes32, count, damaged, date, get, hash, optional_date, parsed, position, reference, signed,
};

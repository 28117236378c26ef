//! The order of pages: newest date first, then dialog id in descending byte order.

use std::cmp::Ordering;

use crate::dialog::{Dialog, HeldDialog};
use crate::values::{Date, DialogId};

/// The position of a dialog in the order of pages. The newest position is the smallest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// When the dialog was received.
    pub date: Date,
    /// Its id.
    pub dialog_id: DialogId,
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.date, &other.dialog_id).cmp(&(self.date, &self.dialog_id))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Something that has a position in the order of pages.
pub trait Positioned {
    /// Its position.
    fn position(&self) -> Position;
}

impl Positioned for Dialog {
    fn position(&self) -> Position {
        Position { date: self.date(), dialog_id: self.dialog_id().clone() }
    }
}

impl Positioned for HeldDialog {
    fn position(&self) -> Position {
        Position { date: self.date(), dialog_id: self.dialog_id().clone() }
    }
}

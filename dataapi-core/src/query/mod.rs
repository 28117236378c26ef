//! Queries: which dialogs, in which order, from which position, and how many.
//!
//! The order is newest date first, then dialog id in descending byte order. The date of a dialog never changes, so a
//! position in that order stays the same while other dialogs come and go. This is why following [`Cursor`]s to the end
//! returns every dialog that stays exactly once.

mod cursor;
mod filter;
mod page;
mod position;
mod reach;
mod scope;

pub use cursor::Cursor;
pub use filter::Filter;
pub use page::{Limit, Page, PageRequest, Start, SubjectRequest, Upper, Window};
pub use position::{Position, Positioned};
pub use reach::{CustomerPrefix, Reach};

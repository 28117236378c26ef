//! Queries: which dialogs, in which order, from where, and how many.
//!
//! The order is newest date first, equal dates by dialog id, descending bytes. A dialog's date
//! never changes, so a place in that order stays what it was while others come and go: that is
//! why a crawl by [`Cursor`] meets each dialog that stays exactly once.

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

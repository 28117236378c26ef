//! A store as the source or the target of a copy from one backend to another.
//!
//! An unfinished copy has a row in the table `copy`, which marks the file as not a store yet. The file is created with
//! that row, and the row is deleted once the whole copy was compared with the source. Polling these calls blocks the
//! thread, for some hundredths of a second at a time while rows are copied.

mod reading;
mod source;
mod target;

pub use source::CopySource;
pub use target::CopyTarget;

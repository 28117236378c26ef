//! A store as one end of a copy from one backend to another: read whole while nobody writes to it, or made of
//! what is read elsewhere.
//!
//! A store in the making has a row in the table `copy`, by which it is known that it is none yet. The row
//! comes with the file, and goes in one step once all of it was compared. The calls block the thread that
//! polls them, some hundredths of a second at a time while rows are copied.

mod reading;
mod source;
mod target;

pub use source::CopySource;
pub use target::CopyTarget;

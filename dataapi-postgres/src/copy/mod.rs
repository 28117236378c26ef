//! Copies of whole stores: a store as what is copied, and as the copy that is made.

mod source;
mod store_reader;
mod target;

pub use source::CopySource;
pub use target::CopyTarget;

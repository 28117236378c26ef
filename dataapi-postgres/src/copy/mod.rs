//! Copying whole stores: a store as the source, and a new store as the target.

mod source;
mod store_reader;
mod target;

pub use source::CopySource;
pub use target::CopyTarget;

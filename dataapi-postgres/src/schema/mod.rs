//! The schema and its versions, how a store begins, and how Citus spreads it.

mod identity;
mod migration;
mod new_store;
mod versions;

pub(crate) use identity::{Identity, identity};
pub(crate) use migration::{migrate, prepare, version};
pub(crate) use new_store::NewStore;

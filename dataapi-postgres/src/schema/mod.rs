//! The schema and its versions, new stores, and the distribution by Citus.

mod durability;
mod identity;
mod migration;
mod new_store;
mod versions;

pub(crate) use durability::check_server;
pub(crate) use identity::{Identity, identity};
pub(crate) use migration::{migrate, prepare, version};
pub(crate) use new_store::NewStore;

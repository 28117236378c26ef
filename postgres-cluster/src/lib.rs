//! Temporary PostgreSQL clusters, so that tests and benches can use a real server and break it.
//!
//! Most tests need only an empty database: [`new_database`] makes one in the cluster that the tests of a process share.
//! Each test that needs PostgreSQL begins with [`skip_without_postgres!`].
//!
//! Tests that kill, freeze or promote a server start their own [`Cluster`]. Tests of network failures put a [`Proxy`]
//! in front of it. All functions block, so an async test must call them on a thread that is allowed to block.
//!
//! Nothing is left behind: a cluster ends when its value is dropped or its process ends, whatever the reason. This
//! crate needs Linux, because it finds the processes of a cluster in `/proc`.

#![deny(missing_docs)]

mod account;
mod binaries;
mod cluster;
mod console;
mod error;
mod guardian;
mod processes;
mod proxy;
mod shared;

pub use binaries::Binaries;
pub use cluster::{Cluster, Settings};
pub use error::Error;
pub use proxy::Proxy;
pub use shared::{available, new_database, shared};

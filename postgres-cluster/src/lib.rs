//! Throw-away PostgreSQL clusters, so that tests and benches have a real server and can break it.
//!
//! Most tests want an empty database, and take it from the one cluster of their process by
//! [`new_database`]. Each test that needs PostgreSQL begins with [`skip_without_postgres!`].
//!
//! Those that kill, freeze or promote a server start their own [`Cluster`], and those that want the
//! network to fail put a [`Proxy`] before it. All of it blocks; within an async test it belongs on a
//! thread that may block.
//!
//! Nothing is left behind: a cluster ends with its value, and with the process that holds it, however
//! that ends. It takes Linux, whose `/proc` tells which processes are a cluster's.

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

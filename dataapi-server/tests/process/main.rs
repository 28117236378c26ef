//! The program as it is run: real processes, signals, and files that outlive them.

#[path = "../support/certificates.rs"]
mod certificates;

mod crash;
mod descriptors;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod disk_full;
mod dying_clients;
mod load;
mod newer_schema;
mod overload;
mod program;
#[cfg(target_os = "linux")]
mod read_only;
mod signals;
mod stale;
mod start;
mod two_servers;

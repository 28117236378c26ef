//! The program as users run it: real processes, signals, and files that outlive the processes.

#[path = "../support/certificates.rs"]
mod certificates;
#[cfg(target_os = "linux")]
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/greedy.rs"]
mod greedy;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/patience.rs"]
mod patience;
#[path = "../support/program.rs"]
mod program;
#[cfg(target_os = "linux")]
#[path = "../support/server.rs"]
mod server;

mod access_log;
mod crash;
mod descriptors;
#[cfg(target_os = "linux")]
mod disk_full;
mod dying_clients;
mod long_reads;
mod newer_schema;
#[cfg(target_os = "linux")]
mod nginx;
#[cfg(target_os = "linux")]
mod one_order;
mod overload;
#[cfg(target_os = "linux")]
mod power_loss;
#[cfg(target_os = "linux")]
mod proxied;
#[cfg(target_os = "linux")]
mod read_only;
mod signals;
mod stale;
mod start;
mod store_files;
mod strangers;
mod two_servers;

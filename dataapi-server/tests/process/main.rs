//! The program as it is run: real processes, signals, and files that outlive them.

#[path = "../support/certificates.rs"]
mod certificates;

mod crash;
mod program;
mod signals;
mod stale;
mod start;

//! The routes of the contract, asked over real sockets.

#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod browsers;
mod changes;
mod clock;
mod description;
mod failures;
mod keys;
mod limits;
mod pages;
mod shutdown;
mod smuggling;
mod status;
mod telemetry;
mod tls;
mod tokens;

//! The routes of the contract, over real sockets.

#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../support/failing.rs"]
mod failing;
#[path = "../support/greedy.rs"]
mod greedy;
#[path = "../support/keys.rs"]
mod keys;
#[path = "../support/patience.rs"]
mod patience;
#[path = "../support/server.rs"]
mod server;

mod access_log;
mod bodies;
mod browsers;
mod changes;
mod clock;
mod codings;
mod description;
mod failures;
mod limits;
mod memory;
mod pages;
mod proxies;
mod readiness;
mod roles;
mod shutdown;
mod smuggling;
mod status;
mod strangers;
mod telemetry;
mod tls;
mod tokens;
mod unknown_roles;
mod version;
mod waiting;

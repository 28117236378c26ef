//! The promises of the PostgreSQL store while connections are lost, servers die, hang or fail over, and several stores
//! use one database: no answer is ever wrong.
//!
//! `DATAAPI_FAULTS_SEED` determines the random choices (but not how calls interleave). `DATAAPI_FAULTS_ROUNDS` is how
//! often something breaks under load.

mod line;
mod load;
mod plans;
mod scene;
mod server;
mod several;

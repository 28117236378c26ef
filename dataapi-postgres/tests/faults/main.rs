//! What the PostgreSQL store promises while connections are lost, servers die or hang, others take over,
//! and several stores work on one database: no answer is ever false.
//!
//! `DATAAPI_FAULTS_SEED` fixes what is chosen by chance (not how the calls are interleaved), and
//! `DATAAPI_FAULTS_ROUNDS` how often something breaks under load.

mod line;
mod load;
mod plans;
mod scene;
mod server;
mod several;

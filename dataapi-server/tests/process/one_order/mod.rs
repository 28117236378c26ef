//! One order through HTTP: what concurrent clients of several servers on one store were told is what the store would
//! have told them one after the other, even if servers or clients die, hang or are cut off meanwhile.
//!
//! `DATAAPI_ORDER_SECONDS` sets how long each test records, `DATAAPI_ORDER_SEED` fixes what the clients ask and what
//! breaks, but not how the requests are interleaved.

mod client;
mod postgres;
mod recording;
mod servers;
mod sqlite;

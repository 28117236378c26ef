//! Connections, TLS, and the bytes of bodies and answers: how many there are, whose they are, and their codings.

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod client;
pub(crate) mod codings;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod shares;
pub(crate) mod tls;

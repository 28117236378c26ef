//! Connections, TLS, reverse proxies, and the bytes of bodies and answers: how many there are, whose they are, and their
//! codings.

pub(crate) mod arrival;
pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod client;
pub(crate) mod codings;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod linger;
pub(crate) mod listeners;
pub(crate) mod places;
pub(crate) mod public_url;
pub(crate) mod sending;
pub(crate) mod shares;
pub(crate) mod socket;
pub(crate) mod standing;
pub(crate) mod stopping;
pub(crate) mod tls;
pub(crate) mod trusted_proxies;
pub(crate) mod web_origin;

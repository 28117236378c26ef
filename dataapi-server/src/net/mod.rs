//! Connections, TLS, reverse proxies, and the bytes of bodies and answers.

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod forwarded;
pub(crate) mod peer;
pub(crate) mod public_url;
pub(crate) mod tls;
pub(crate) mod trusted_proxies;
pub(crate) mod web_origin;

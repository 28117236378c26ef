//! Connections, TLS, and the bytes of bodies and answers.

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod linger;
pub(crate) mod listeners;
pub(crate) mod places;
pub(crate) mod sending;
pub(crate) mod socket;
pub(crate) mod standing;
pub(crate) mod stopping;
pub(crate) mod tls;

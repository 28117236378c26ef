//! Connections, TLS, and the bytes of bodies and answers.

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod tls;

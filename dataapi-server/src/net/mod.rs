//! Connections and what passes over them, as bytes.

pub(crate) mod body;
pub(crate) mod buffers;
pub(crate) mod connections;
pub(crate) mod cors;
pub(crate) mod tls;

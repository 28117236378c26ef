//! What a caller may do and how often, and the access log.

pub(crate) mod access_log;
pub(crate) mod access_sink;
pub(crate) mod host;
pub(crate) mod keyring;
pub(crate) mod origin;
pub(crate) mod rates;
pub(crate) mod reach;
pub(crate) mod refusals;
pub(crate) mod tokens;

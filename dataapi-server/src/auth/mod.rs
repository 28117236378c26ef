//! Who may do what, how often, and what is noted of it.

pub(crate) mod access_log;
pub(crate) mod keyring;
pub(crate) mod origin;
pub(crate) mod rates;
pub(crate) mod reach;
pub(crate) mod tokens;

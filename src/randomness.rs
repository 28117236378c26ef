//! Keys from the operating system's random source.

use dataapi_core::KeySecret;

use crate::errors::OpenError;

/// A new key for a server's clients, from the operating system's random source. Show it once, and keep its
/// [`hash`](KeySecret::hash) with [`Keys::create_key`](dataapi_core::Keys::create_key).
///
/// # Errors
/// [`OpenError::Randomness`] when there is none.
pub fn generate_key() -> Result<KeySecret, OpenError> {
    Ok(KeySecret::from_bytes(random_bytes()?))
}

pub(crate) fn random_bytes() -> Result<[u8; 32], OpenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(OpenError::Randomness)?;
    Ok(bytes)
}

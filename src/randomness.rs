//! Keys from the operating system's random source.

use dataapi_core::KeySecret;

use crate::errors::OpenError;

/// Generates a key for a client of a server, from the operating system's random source. Show it once, and store its
/// [`hash`](KeySecret::hash) with [`Keys::create_key`](dataapi_core::Keys::create_key).
///
/// # Errors
/// [`OpenError::Randomness`] if the operating system provides no random bytes.
pub fn generate_key() -> Result<KeySecret, OpenError> {
    Ok(KeySecret::from_bytes(random_bytes()?))
}

pub(crate) fn random_bytes() -> Result<[u8; 32], OpenError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(OpenError::Randomness)?;
    Ok(bytes)
}

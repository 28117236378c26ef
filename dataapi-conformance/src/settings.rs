//! Settings of random tests, from the environment.

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns the seed of random tests, which `DATAAPI_CONFORMANCE_SEED` can set, and prints it.
pub(crate) fn seed() -> u64 {
    // The standard library takes the keys of its hash maps from the operating system.
    let random = || RandomState::new().build_hasher().finish();
    let seed = number_from_env("DATAAPI_CONFORMANCE_SEED").unwrap_or_else(random);
    println!("DATAAPI_CONFORMANCE_SEED={seed}");
    seed
}

pub(crate) fn number_from_env(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
}

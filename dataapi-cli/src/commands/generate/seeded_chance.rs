//! Random numbers for generated dialogs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A random generator that gives the same numbers on every machine.
pub(super) struct SeededChance(ChaCha8Rng);

impl SeededChance {
    pub(super) fn of(seeds: [u64; 2], stream: u64) -> Self {
        // Not `seed_from_u64`, whose expansion might differ in other versions of the library.
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seeds[0].to_le_bytes());
        bytes[8..16].copy_from_slice(&seeds[1].to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        rng.set_stream(stream);
        Self(rng)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, uniform enough for this purpose.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    pub(super) fn pick<T>(&mut self, from: &'static [T]) -> &'static T {
        // Phrase lists are never empty.
        &from[usize::try_from(self.below(from.len() as u64)).unwrap_or_default()]
    }
}

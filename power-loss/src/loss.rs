//! What a loss of power leaves of what was not synced.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a loss of power leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    All,
    /// Some pages of 4,096 bytes, and some names.
    Pages,
    /// Some sectors of 512 bytes, and some names: pages are torn.
    Sectors,
}

/// Random choices of what is left.
#[derive(Debug)]
pub(crate) struct Chance {
    unit: Option<u64>,
    random: ChaCha8Rng,
    /// How many of a hundred units have all their changes.
    whole: u64,
}

impl Chance {
    pub(crate) fn new(loss: Loss, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let whole = random.next_u64() % 101;
        let unit = match loss {
            Loss::All => None,
            Loss::Pages => Some(4_096),
            Loss::Sectors => Some(512),
        };
        Self { unit, random, whole }
    }

    /// Of how many bytes either all or none are left; `None` if nothing is left.
    pub(crate) fn unit(&self) -> Option<u64> {
        self.unit
    }

    /// How many of this many changes are left, one after the other.
    pub(crate) fn of(&mut self, changes: u64) -> u64 {
        if self.unit.is_none() {
            0
        } else if self.random.next_u64() % 100 < self.whole {
            changes
        } else {
            self.random.next_u64() % (changes + 1)
        }
    }
}

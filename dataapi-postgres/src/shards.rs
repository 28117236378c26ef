//! Which shard a dialog belongs to: all that a decision touches lies there, and each has its own chain.

use dataapi_core::DialogRef;

/// The shards of a store: as many as it was made with.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    /// By number, what stands in the column `shard`: where Citus spreads the tables, it puts each of these
    /// into a shard of its own.
    keys: Vec<i32>,
}

/// The number of a shard, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shard(u16);

impl Shards {
    pub(crate) fn new(keys: Vec<i32>) -> Self {
        Self { keys }
    }

    /// The one that a dialog belongs to: its reference is spread evenly, being a hash.
    pub(crate) fn of(&self, reference: &DialogRef) -> Shard {
        let [a, b, ..] = *reference.as_bytes();
        // There are at most as many as a `u16` counts.
        let count = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        Shard(u16::from_be_bytes([a, b]) % count)
    }

    /// What names it in the database.
    pub(crate) fn key(&self, shard: Shard) -> i32 {
        self.keys[usize::from(shard.0)]
    }

    /// What names all of them there.
    pub(crate) fn keys(&self) -> &[i32] {
        &self.keys
    }
}

impl Shard {
    /// Its number.
    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }
}

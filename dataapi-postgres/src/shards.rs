//! The shard of a dialog. Everything that a decision changes is in one shard, and each shard has its own chain.

use dataapi_core::DialogRef;

/// The shards of a store. Their number was set when it was created.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    /// The value of the column `shard` for each shard number. If Citus distributes the tables, each value belongs to a
    /// Citus shard of its own.
    keys: Vec<i32>,
}

/// The number of a shard, starting at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Shard(u16);

impl Shards {
    pub(crate) fn new(keys: Vec<i32>) -> Self {
        Self { keys }
    }

    /// Returns the shard of a dialog. References are hashes, so they are spread evenly.
    pub(crate) fn of(&self, reference: &DialogRef) -> Shard {
        let [a, b, ..] = *reference.as_bytes();
        // There are at most 1024 shards.
        let count = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        Shard(u16::from_be_bytes([a, b]) % count)
    }

    /// Returns the value of the column `shard` for this shard.
    pub(crate) fn key(&self, shard: Shard) -> i32 {
        self.keys[usize::from(shard.0)]
    }

    /// Returns the values of the column `shard` for all shards.
    pub(crate) fn keys(&self) -> &[i32] {
        &self.keys
    }
}

impl Shard {
    /// Returns the number as an index.
    pub(crate) fn number(self) -> usize {
        usize::from(self.0)
    }
}

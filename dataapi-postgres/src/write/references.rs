//! References as parameters of statements.

use std::collections::{BTreeMap, BTreeSet};

use dataapi_core::DialogRef;

use crate::shards::{Shard, Shards};

/// Groups references by statement, with the keys of their shards: one group for all, or one for each shard with Citus.
pub(crate) fn groups(
    references: &[DialogRef],
    shards: &Shards,
    is_spread: bool,
) -> Vec<(Vec<i32>, Vec<DialogRef>)> {
    let mut groups: BTreeMap<Option<Shard>, Vec<DialogRef>> = BTreeMap::new();
    for reference in references {
        let group = is_spread.then(|| shards.of(reference));
        groups.entry(group).or_default().push(*reference);
    }
    let keyed = |references: Vec<DialogRef>| {
        let keys: BTreeSet<_> =
            references.iter().map(|reference| shards.key(shards.of(reference))).collect();
        (keys.into_iter().collect(), references)
    };
    groups.into_values().map(keyed).collect()
}

pub(crate) fn bytes(references: &[DialogRef]) -> Vec<Vec<u8>> {
    references.iter().map(|reference| reference.as_bytes().to_vec()).collect()
}

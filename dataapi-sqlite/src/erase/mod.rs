//! Erasure to the byte: what was deleted leaves every file of the store, in time.

pub(crate) mod checkpoint;
pub(crate) mod erasures;
pub(crate) mod kept_open;
pub(crate) mod leftovers;
pub(crate) mod marks;
pub(crate) mod pages;
pub(crate) mod scrub;
pub(crate) mod slack;
pub(crate) mod upkeep;
pub(crate) mod wal;
pub(crate) mod wal_index;

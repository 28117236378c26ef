//! Backups: a copy of a store while others write to it, and what of it may come back.
//!
//! A copy in one read would keep every erasure in the files for as long as it takes. So the copy grows
//! in steps, each a short read of one moment, in which it takes first what the ledger says has happened
//! since the step before to what is copied already, and then the rows that follow. After each step the
//! copy is what the store was at that moment up to some row, and after the last one all of it.
//!
//! A backup is old the moment it is made, and what was withdrawn or erased since must not come back with
//! it (GDPR articles 7(3) and 17). So nothing is restored without a ledger that tells what that is:
//! the one of the store that is there, or one that was kept elsewhere.

mod back_up;
mod error;
mod fates;
mod put_back;
mod restore;
mod steps;
mod store_file;

pub use back_up::Backup;
pub use error::BackupError;
pub use restore::{Restored, Since, restore};
pub use steps::OnStep;

//! Makes backups of a store in use, and restores them without what was withdrawn or erased since.
//!
//! **Making one.** To copy the whole store in one read would keep the bytes of every later erasure in the files until
//! the read ends. So a backup is made in steps, each with a short read of one moment. A step first reads the ledger's
//! new events and applies them to the rows that are copied already. Then it copies the next rows. After each step,
//! the backup equals the store at that moment up to some row; after the last step, up to the last row.
//!
//! **Restoring one.** A backup is out of date as soon as it is made. What was withdrawn or erased since must not come
//! back with it (GDPR articles 7(3) and 17). So a restore needs a ledger that says what that is: the one of the store
//! to which it restores, or one that was kept elsewhere.

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

//! A file system for tests that can lose its power: it keeps apart what was written and what is on the disk.
//!
//! A [`Disk`] is one folder of files, mounted through FUSE. A write, a new length, a new name and a removed name are
//! seen at once by every process, but are on the disk only after a sync: of the file for its content, of the folder for
//! its names. [`Disk::survivors`] says which files a loss of power at this moment would leave, as an [`Image`] that can
//! be written to an ordinary folder: nothing that was not synced, some pages of it, or some sectors ([`Loss`]).
//! [`Disk::before_each_change`] calls a test at every moment that differs from the one before. [`Disk::cut_power`]
//! makes everything fail from then on. [`Disk::fail`] makes single writes and syncs fail.
//!
//! What it assumes of a disk and of a file system, and what it does not:
//!
//! - A sector of 512 bytes is written whole or not at all. Sectors of one file reach the disk in any order, but each
//!   sector goes through its contents in the order in which they were written.
//! - The lengths of a file reach the disk in their order. Bytes that a longer file has and that were never written to
//!   the disk are zeros.
//! - A name is set, removed or moved whole or not at all. Changes to different names reach the disk in any order, even
//!   if a file's content is synced: only a sync of the folder makes names durable. Ext4 and XFS promise more.
//! - A sync that fails has lost what it should have written: the next sync does not write it again, though reads still
//!   return it. Everybody who had the file open is told of that once, at the next sync. So it is on Linux.
//! - Permissions and times are not lost.
//!
//! The kernel keeps its cache of pages, but writes through it, so this file system sees each write. Shared memory maps
//! work. The kernel writes their pages when it likes, or when they are synced. Locks are the kernel's own.
//!
//! A process must not use the disk that it mounts itself: it would wait for itself.

#![deny(missing_docs)]

mod content;
mod disk;
mod failure;
mod image;
mod loss;
mod mount;
mod names;
mod permission;
mod state;

pub use disk::Disk;
pub use failure::{Failure, How, Ignored, What};
pub use image::Image;
pub use loss::Loss;
pub use permission::{may_mount, may_mount_disk};
pub use state::Moment;

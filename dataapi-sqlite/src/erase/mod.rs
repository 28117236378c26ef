//! Erasure to the byte: removes what was deleted from every file of the store, in time.
//!
//! **Where deleted bytes remain.** `DELETE` alone does not remove a row from the files. Two places keep copies:
//!
//! - The write-ahead log (WAL). A commit appends the pages that it changed to the log, as *frames*. Earlier frames
//!   hold the same pages from before the deletion. They stay until SQLite overwrites or cuts the log.
//! - The unused space of a page. SQLite overwrites a row that it deletes. But when it rebuilds a page, copies of
//!   rows that moved to another page can stay between the rows that did not move ([`slack`]). No later deletion
//!   overwrites such a copy.
//!
//! **Checkpoints.** A *checkpoint* copies pages from the log to the database file. When a checkpoint has copied
//! the whole log and no read uses the log any more, SQLite can *restart* it: the next commit writes its frames at
//! the beginning of the log again. SQLite's automatic checkpoints are switched off in a store. Only a
//! [`Scrubber`](scrub::Scrubber) checkpoints, so it can inspect each page before the log restarts.
//!
//! **Beside the commits.** Each time that the log has grown by some 1,000 frames, the scrubber checkpoints them while
//! commits continue. It holds a snapshot meanwhile. No process checkpoints what was committed after a snapshot, so once
//! the checkpoint is done the database file does not change until the snapshot ends. In that time the scrubber
//! overwrites the bytes that it has found in the unused space of the pages ([`leftovers`], [`pages`]). Commits wait for
//! none of this, except where they share the disk with it.
//!
//! It never checkpoints the whole log like this: if the process died then, another one could restart the log before
//! the leftovers of its last pages are overwritten.
//!
//! **What a scrub does.** It checkpoints beside the commits until a few dozen frames are left. Then it keeps all writers
//! waiting for about two milliseconds, and:
//!
//! 1. inspects and checkpoints the rest, and overwrites its leftovers;
//! 2. restarts the log.
//!
//! If anything was erased, it then overwrites the old frames in slices ([`wal`]). Writers wait for each slice, half a
//! millisecond, and commit between two. Commits overwrite old frames too, from the front, so a slice ends at the last
//! frame that was committed.
//!
//! So after a scrub neither the log nor the database holds anything that was erased before the scrub restarted the log.
//!
//! **Reads.** A log with a read that began before the last checkpoint cannot restart. Short reads end in time; while a
//! scrub runs they keep no snapshots. If another program holds a snapshot, the scrub tries again in a moment, and the
//! log grows until then. The restart after that cuts the log to its usual length.
//!
//! **Crashes.** The store has two *marks* ([`marks`]). One says that the log might hold bytes of erased dialogs: the
//! transaction that erases sets it, and a scrub clears it if nothing was erased since it restarted the log. The other
//! says that a scrub began step 1 and might not have finished it. The next scrub of any process, at the latest when the
//! store is next opened, finds the marks and does what is left. If the second mark is set, it inspects every page of the
//! database, since nothing else says which pages to clean. A new store begins with this mark. A process that dies beside
//! the commits leaves the pages in the log, and the next scrub inspects them again.
//!
//! **Failing disks.** After an fsync that failed, Linux takes what it did not write for written. So if the disk fails
//! under a scrubber, it is in doubt: with its next checkpoint beside the commits, it writes all pages again that were
//! checkpointed from the log before. Until then the whole log is not checkpointed, and so not restarted. And when the
//! first process opens a store with a log, it writes the log again.
//!
//! **When.** The [`upkeep`] thread decides when to checkpoint and when to scrub.

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

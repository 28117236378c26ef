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
//! **What a scrub does.** A scrub keeps all writers waiting for a moment, and:
//!
//! 1. inspects the pages in the log that were not inspected before, and notes those with bytes in their unused
//!    space ([`leftovers`]);
//! 2. checkpoints the whole log;
//! 3. overwrites those bytes in the database file ([`pages`]);
//! 4. restarts the log and, if anything was erased, overwrites or cuts off its old frames ([`wal`]).
//!
//! So a page of the database that is not in the log has no bytes in its unused space, and after a scrub the log
//! holds nothing that was erased before.
//!
//! **While others write.** To checkpoint a long log takes time, and writers would have to wait for it. So once a
//! second the scrubber checkpoints most of the log while commits continue. It never checkpoints all of it: SQLite
//! could then restart the log before its last pages were inspected. A scrub has only the rest to do.
//!
//! **Crashes.** The store has two *marks* ([`marks`]). One says that the log might hold bytes of erased dialogs: the
//! transaction that erases sets it. The other says that a scrub began step 2 and might not have finished step 3. The
//! next scrub of any process, at the latest when the store is next opened, finds the marks and does what is left. If
//! the second mark is set, it inspects every page of the database, since nothing else says which pages to clean. A new
//! store begins with this mark.
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

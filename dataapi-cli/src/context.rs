//! The context of every command: the store's URL, the key for a server, and whether to be quiet.

use std::sync::Arc;

use dataapi::{DialogStore, OpenError, OpenOptions};

use crate::exit::Exit;
use crate::terminal::say;

/// The global options, with the secrets that came by other ways. It is never printed.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store_url: String,
    /// The key for a server.
    pub(crate) key: Option<String>,
    pub(crate) quiet: bool,
}

impl Context {
    /// Opens the store, which must exist: if a mistyped path created an empty store, it would look as if all
    /// dialogs were gone.
    pub(crate) async fn open_existing(&self) -> Result<Arc<dyn DialogStore>, OpenError> {
        OpenOptions::default().create(false).open(&self.store_url).await
    }

    /// Opens the store, and creates it if it does not exist.
    pub(crate) async fn open_or_create(&self) -> Result<Arc<dyn DialogStore>, OpenError> {
        OpenOptions::default().open(&self.store_url).await
    }

    /// Waits until the bytes of erased dialogs are overwritten in the store's files.
    pub(crate) async fn scrub(&self, store: &dyn DialogStore) -> Exit {
        match store.scrub().await {
            Ok(()) => Exit::Done,
            Err(error) => {
                say(&format!(
                    "error: the change is done, but erased bytes are still in the store's files: {error}\n       \
                     check later with 'dataapi verify-erasure' that they are gone"
                ));
                Exit::Failed
            }
        }
    }

    /// Prints a message on standard error, unless `--quiet` was given.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }
}

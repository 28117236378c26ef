//! What every command is run with: which store, and how much to say.

use std::sync::Arc;

use dataapi::{DialogStore, OpenError, OpenOptions};

use crate::exit::Exit;
use crate::terminal::say;

/// The global options.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) store_url: String,
    pub(crate) quiet: bool,
}

impl Context {
    /// The store, which must be there: to read from a store that was mistyped into being would
    /// look as if all were gone.
    pub(crate) async fn open_existing(&self) -> Result<Arc<dyn DialogStore>, OpenError> {
        OpenOptions::default().create(false).open(&self.store_url).await
    }

    /// The store, created if it is not there.
    pub(crate) async fn open_or_create(&self) -> Result<Arc<dyn DialogStore>, OpenError> {
        OpenOptions::default().open(&self.store_url).await
    }

    /// Waits until what was erased has left the files of the store.
    pub(crate) async fn scrub(&self, store: &dyn DialogStore) -> Exit {
        match store.scrub().await {
            Ok(()) => Exit::Done,
            Err(error) => {
                say(&format!("it is done, but its bytes have not left the files yet: {error}"));
                Exit::Failed
            }
        }
    }

    /// Tells people what they may like to know, unless they asked for quiet.
    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }
}

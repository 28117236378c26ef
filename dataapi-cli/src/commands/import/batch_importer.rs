//! Batches of dialogs into the store: tried again while it is busy, and counted.

use std::fmt;
use std::time::Duration;

use dataapi::{DialogStore, ImportedDialog, StoreError};

use crate::interrupt::Interrupt;

/// How many dialogs one commit takes in.
pub(crate) const BATCH_DIALOGS: usize = 1000;

/// How often a batch is tried. The growing pauses between make some half a minute; each try may wait
/// for the store as well.
const TRIES: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What became of the dialogs so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportCounts {
    pub(crate) stored: u64,
    /// With the same customer, text and language.
    pub(crate) already_there: u64,
    /// Their id belongs to another dialog.
    pub(crate) taken: u64,
    pub(crate) gone: u64,
    /// Unreadable, or with a value outside its bounds.
    pub(crate) bad: u64,
}

impl ImportCounts {
    /// Counts what the store answered for one dialog.
    fn count(&mut self, answer: &Result<(), StoreError>) {
        *match answer {
            Ok(()) => &mut self.stored,
            Err(StoreError::Exists { same_content: true }) => &mut self.already_there,
            Err(StoreError::Exists { same_content: false }) => &mut self.taken,
            Err(StoreError::Gone) => &mut self.gone,
            Err(_) => &mut self.bad,
        } += 1;
    }

    pub(crate) fn refused(&self) -> u64 {
        self.taken + self.gone + self.bad
    }
}

impl fmt::Display for ImportCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.refused();
        write!(
            f,
            "{} stored, {} already there, {refused} refused",
            self.stored, self.already_there
        )?;
        if refused > 0 {
            let Self { taken, gone, bad, .. } = self;
            write!(f, " ({taken} id taken, {gone} withdrawn or erased, {bad} bad)")?;
        }
        Ok(())
    }
}

/// Takes dialogs into a store and counts them.
pub(crate) struct BatchImporter<'a> {
    store: &'a dyn DialogStore,
    interrupt: Interrupt,
    counts: ImportCounts,
}

impl<'a> BatchImporter<'a> {
    /// An interrupt ends the waiting for a busy store, not the commit that runs.
    pub(crate) fn new(store: &'a dyn DialogStore, interrupt: Interrupt) -> Self {
        Self { store, interrupt, counts: ImportCounts::default() }
    }

    pub(crate) fn counts(&self) -> ImportCounts {
        self.counts
    }

    /// Counts lines that are no dialogs.
    pub(crate) fn count_bad(&mut self, lines: u64) {
        self.counts.bad += lines;
    }

    /// Takes in `batch` in one commit and tells for each dialog why it was refused, if it was.
    ///
    /// A batch that was stored although the store said it was not comes out as already there.
    pub(crate) async fn take(
        &mut self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Option<StoreError>>, StoreError> {
        // A commit of nothing would wait for the store all the same.
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.store;
        let attempt = async || store.import(batch.clone()).await;
        let answers = patiently(&mut self.interrupt, attempt).await?;
        let refusals = answers.into_iter().map(|answer| {
            self.counts.count(&answer);
            answer.err().filter(|error| !matches!(error, StoreError::Exists { same_content: true }))
        });
        Ok(refusals.collect())
    }
}

/// Tries again while the store says that it is worth it, up to [`TRIES`] times.
async fn patiently<T>(
    interrupt: &mut Interrupt,
    mut attempt: impl AsyncFnMut() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        let result = attempt().await;
        let Some(asked_for) = result.as_ref().err().and_then(retry_after) else {
            return result;
        };
        tokio::select! {
            () = interrupt.requested() => return result,
            () = tokio::time::sleep(pause.max(asked_for).min(LONGEST_PAUSE)) => {}
        }
        pause *= 2;
    }
    attempt().await
}

fn retry_after(error: &StoreError) -> Option<Duration> {
    match error {
        StoreError::Overloaded { retry_after } | StoreError::Unavailable { retry_after, .. } => {
            Some(*retry_after)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a store is asked that answers so the first `failures` times, and whether it
    /// took the batch in the end. Pauses take no time.
    fn asked(failures: u32, answer: fn() -> StoreError) -> std::io::Result<(u32, bool)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let (_hand, mut interrupt) = Interrupt::by_hand();
        let mut asked = 0;
        let result = runtime.block_on(patiently(&mut interrupt, async || {
            asked += 1;
            if asked <= failures { Err(answer()) } else { Ok(()) }
        }));
        Ok((asked, result.is_ok()))
    }

    #[test]
    fn an_interrupt_ends_the_waiting() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (hand, mut interrupt) = Interrupt::by_hand();
        hand.send_replace(true);
        let mut asked = 0;
        let result = runtime.block_on(patiently(&mut interrupt, async || {
            asked += 1;
            Err::<(), _>(overloaded())
        }));
        assert!(result.is_err());
        assert_eq!(asked, 1);
    }

    fn overloaded() -> StoreError {
        StoreError::Overloaded { retry_after: Duration::from_secs(1) }
    }

    #[test]
    fn a_busy_store_is_asked_again_but_not_for_ever() -> std::io::Result<()> {
        assert_eq!(asked(0, overloaded)?, (1, true));
        assert_eq!(asked(3, overloaded)?, (4, true));
        assert_eq!(asked(TRIES, overloaded)?, (TRIES, false));
        Ok(())
    }

    #[test]
    fn a_broken_store_is_not_asked_again() -> std::io::Result<()> {
        assert_eq!(asked(1, || StoreError::backend("broken"))?, (1, false));
        Ok(())
    }
}

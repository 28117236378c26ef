//! Imports dialogs in batches: retries while the store is busy, and counts the results.

use std::fmt;
use std::time::Duration;

use dataapi::{DialogStore, ImportedDialog, StoreError};

use crate::interrupt::Interrupt;

/// How many dialogs one commit imports.
pub(crate) const BATCH_DIALOGS: usize = 1000;

/// How often to try a batch. The growing pauses in between add up to about half a minute; each try can also wait
/// for the store.
const TRIES: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The results so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ImportCounts {
    pub(crate) stored: u64,
    /// Already in the store with the same customer, text and language.
    pub(crate) already_there: u64,
    /// Refused because the id belongs to another dialog.
    pub(crate) taken: u64,
    pub(crate) gone: u64,
    /// Refused because the line is unreadable or a value is outside its bounds.
    pub(crate) bad: u64,
}

impl ImportCounts {
    /// Counts the store's answer for one dialog.
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
            write!(f, " ({taken} id taken, {gone} withdrawn or erased, {bad} invalid)")?;
        }
        Ok(())
    }
}

/// Imports dialogs into a store and counts the results.
pub(crate) struct BatchImporter<'a> {
    store: &'a dyn DialogStore,
    interrupt: Interrupt,
    counts: ImportCounts,
}

impl<'a> BatchImporter<'a> {
    /// Makes an importer. An interrupt ends the pause between two tries, but not a running commit.
    pub(crate) fn new(store: &'a dyn DialogStore, interrupt: Interrupt) -> Self {
        Self { store, interrupt, counts: ImportCounts::default() }
    }

    pub(crate) fn counts(&self) -> ImportCounts {
        self.counts
    }

    /// Counts lines that hold no valid dialog.
    pub(crate) fn count_bad(&mut self, lines: u64) {
        self.counts.bad += lines;
    }

    /// Imports `batch` in one commit and returns for each dialog why it was refused, if it was.
    ///
    /// If a try reports an error although it stored the batch, the next try counts its dialogs as already there.
    pub(crate) async fn take(
        &mut self,
        batch: Vec<ImportedDialog>,
    ) -> Result<Vec<Option<StoreError>>, StoreError> {
        // An empty commit would still wait for the store.
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

/// Retries while the store is overloaded or unavailable, up to [`TRIES`] tries in all.
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

    /// Runs against a store that fails the first `failures` times. Returns how often it was asked, and whether
    /// it accepted the batch in the end. Pauses take no time.
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

//! Clients that ask again when they are told to.

use std::time::Duration;

use dataapi_core::StoreError;
use tokio::time::sleep;

/// Whether the caller is told to ask again later.
pub fn is_for_later<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }))
}

/// What a store answered that was asked until it could, as clients do.
#[derive(Debug)]
pub struct Told<T> {
    /// The answer, which is not to ask again.
    pub answer: Result<T, StoreError>,
    /// Whether an earlier try may have happened.
    pub again: bool,
}

/// Asks until there is an answer.
pub async fn until_told<T, F>(mut ask: impl FnMut() -> F) -> Told<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut again = false;
    loop {
        let answer = ask().await;
        if !is_for_later(&answer) {
            return Told { answer, again };
        }
        again |= matches!(answer, Err(StoreError::Unavailable { .. }));
        sleep(Duration::from_millis(20)).await;
    }
}

//! Clients that try again when the store asks them to.

use std::time::Duration;

use dataapi_core::StoreError;
use tokio::time::sleep;

/// Whether the store asks the caller to try again later.
pub fn is_for_later<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Overloaded { .. }))
}

/// The final answer of a store that was asked until it could give one.
#[derive(Debug)]
pub struct Told<T> {
    /// The answer, which is not a request to try again.
    pub answer: Result<T, StoreError>,
    /// Whether an earlier try might have happened.
    pub again: bool,
}

/// Asks until there is a final answer.
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

//! A stand-in for a backend whose Cargo feature is off.

use std::sync::Arc;

use async_trait::async_trait;
use dataapi_core::DialogStore;

use super::backend::Backend;
use crate::errors::OpenError;
use crate::options::OpenOptions;
use crate::redaction::without_secrets;

pub(super) struct TurnedOff {
    pub(super) feature: &'static str,
}

#[async_trait]
impl Backend for TurnedOff {
    async fn open(
        &self,
        _url: &str,
        _options: &OpenOptions,
    ) -> Result<Arc<dyn DialogStore>, OpenError> {
        Err(self.unsupported())
    }

    fn unsupported(&self) -> OpenError {
        OpenError::FeatureOff(self.feature)
    }

    /// The URL can contain a password even if the backend is not built in.
    fn shown(&self, url: &str) -> String {
        without_secrets(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_not_built_in_says_which_feature_to_turn_on() {
        let url = "postgres://anna:secret@db/dialogs?sslmode=require";
        let backend = TurnedOff { feature: "postgres" };
        let Err(refused) = backend.open(url, &OpenOptions::default()).await else {
            panic!("it was opened");
        };
        assert!(refused.to_string().contains("'postgres'"), "{refused}");
        assert!(matches!(backend.files(url), Err(OpenError::FeatureOff("postgres"))));
        assert!(matches!(
            backend.copy_source(url).await.err(),
            Some(OpenError::FeatureOff("postgres"))
        ));
        assert_eq!(backend.shown(url), "postgres://anna@db/dialogs");
    }
}

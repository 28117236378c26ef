//! The caller's reach: the dialogs that the caller's key is bound to.
//!
//! The store applies the reach to pages, single dialogs and changes. This module checks it for all other requests.

use dataapi_core::{ConsentState, CustomerId, DialogId, DialogStore, NewDialog, Reach, StoreError};

use crate::problem::Problem;

/// The dialogs that the caller's key can be used for.
#[derive(Debug, Default)]
pub(crate) struct CallerReach(Reach);

impl CallerReach {
    pub(crate) fn new(reach: Reach) -> Self {
        Self(reach)
    }

    /// Returns the reach, for a store to apply.
    pub(crate) fn for_store(&self) -> &Reach {
        &self.0
    }

    /// Checks a dialog that is to be stored.
    pub(crate) fn covers_dialog(&self, dialog: &NewDialog) -> Result<(), Problem> {
        refuse_unless(self.0.covers(&dialog.customer_id, &dialog.language))
    }

    /// Checks a request for all dialogs of a customer.
    pub(crate) fn covers_customer(&self, customer_id: &CustomerId) -> Result<(), Problem> {
        refuse_unless(self.0.covers_customer(customer_id))
    }

    /// Checks a request about all dialogs of the store.
    pub(crate) fn covers_all(&self) -> Result<(), Problem> {
        refuse_unless(self.0.is_all())
    }

    /// Checks a request about the decision on a dialog. A pending or consented dialog out of reach gets the answer for
    /// an unknown one. A withdrawn or erased dialog has no customer and no language any more, so any caller who knows
    /// its id may see its state.
    pub(crate) async fn covers_decision(
        &self,
        store: &dyn DialogStore,
        dialog_id: &DialogId,
    ) -> Result<(), Problem> {
        if self.0.is_all() {
            return Ok(());
        }
        let is_held = match store.consent(dialog_id).await?.state {
            ConsentState::Pending | ConsentState::Granted => true,
            ConsentState::Withdrawn | ConsentState::Erased => false,
        };
        if is_held && !store.is_within(&self.0, dialog_id).await? {
            return Err(StoreError::NotFound.into());
        }
        Ok(())
    }
}

fn refuse_unless(is_covered: bool) -> Result<(), Problem> {
    if is_covered { Ok(()) } else { Err(Problem::out_of_reach()) }
}

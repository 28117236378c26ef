//! The caller's reach: the one place where it is checked that a request lies within it.
//!
//! Pages, single dialogs and changes are checked by the store, which is told the reach; all else here.

use dataapi_core::{ConsentState, CustomerId, DialogId, DialogStore, NewDialog, Reach, StoreError};

use crate::problem::Problem;

/// Which dialogs the caller's key may be used for.
#[derive(Debug, Default)]
pub(crate) struct CallerReach(Reach);

impl CallerReach {
    pub(crate) fn new(reach: Reach) -> Self {
        Self(reach)
    }

    /// For a store that leaves out what lies beyond.
    pub(crate) fn for_store(&self) -> &Reach {
        &self.0
    }

    /// A dialog that is to be stored.
    pub(crate) fn covers_dialog(&self, dialog: &NewDialog) -> Result<(), Problem> {
        refuse_unless(self.0.covers(&dialog.customer_id, &dialog.language))
    }

    /// What is held on a customer.
    pub(crate) fn covers_customer(&self, customer_id: &CustomerId) -> Result<(), Problem> {
        refuse_unless(self.0.covers_customer(customer_id))
    }

    /// Everybody's dialogs.
    pub(crate) fn covers_all(&self) -> Result<(), Problem> {
        refuse_unless(self.0.is_all())
    }

    /// A decision on a dialog: one that is held beyond the reach counts as unknown. A dialog that is gone
    /// has no customer and no language any more: how it ended is told to anyone who knows its id.
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

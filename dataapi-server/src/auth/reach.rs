//! The caller's reach: the dialogs that the caller's key is bound to.
//!
//! The store applies the reach to pages, single dialogs, events and changes. This module checks it for all other requests.

use dataapi_core::{
    ConsentState, CustomerId, DialogId, DialogStore, Event, Evidence, NewDialog, Reach, StoreError,
};

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

    /// Checks a request about the decision on a dialog, and returns whose evidence the caller may see. A pending or
    /// consented dialog out of reach gets the answer for an unknown one. A withdrawn or erased dialog has no customer
    /// and no language any more, so nobody can tell whose it was: any caller who knows its id may see its state, and a
    /// caller with bounds sees no evidence.
    pub(crate) async fn covers_decision(
        &self,
        store: &dyn DialogStore,
        dialog_id: &DialogId,
    ) -> Result<EvidenceReach, Problem> {
        if self.0.is_all() {
            return Ok(EvidenceReach::All);
        }
        let is_held = match store.consent(dialog_id).await?.state {
            ConsentState::Pending | ConsentState::Granted => true,
            ConsentState::Withdrawn | ConsentState::Erased => false,
        };
        if !is_held {
            return Ok(EvidenceReach::Own);
        }
        if store.is_within(&self.0, dialog_id).await? {
            Ok(EvidenceReach::All)
        } else {
            Err(StoreError::NotFound.into())
        }
    }
}

/// Which evidence of decisions on a dialog a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvidenceReach {
    All,
    /// Only what the caller has just sent.
    Own,
}

impl EvidenceReach {
    /// Returns the event as the caller may see it. `sent` is the evidence that came with the request: a client that
    /// sends the same withdrawal again gets its whole receipt, and learns nothing from it.
    pub(crate) fn of(self, event: Event, sent: &Evidence) -> Event {
        if self == Self::All || event.evidence == *sent { event } else { event.without_evidence() }
    }
}

fn refuse_unless(is_covered: bool) -> Result<(), Problem> {
    if is_covered { Ok(()) } else { Err(Problem::out_of_reach()) }
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dataapi_core::prelude::*;
    use dataapi_core::{
        ChainHead, Date, Decision, DialogRef, EventKind, MemoryStore, RefKey, SystemClock,
    };

    use super::*;

    fn reach(customers: Option<&str>, language: Option<&str>) -> CallerReach {
        let mut reach = Reach::default();
        if let Some(prefix) = customers {
            reach = reach.only_customers(prefix.parse().expect("a prefix"));
        }
        if let Some(tag) = language {
            reach = reach.only_languages(vec![tag.parse().expect("a tag")]).expect("one");
        }
        CallerReach::new(reach)
    }

    fn status<T>(checked: Result<T, Problem>) -> u16 {
        checked.map_or_else(|problem| problem.into_response().status().as_u16(), |_| 200)
    }

    #[test]
    fn a_caller_is_refused_what_lies_outside_the_bounds_of_its_key() {
        let dialog =
            |customer, tag| NewDialog::parse(customer, "d-1", tag, "Hello").expect("valid");
        for (customers, language) in
            [(None, None), (Some("shop-"), None), (None, Some("en")), (Some("shop-"), Some("en"))]
        {
            let reach = reach(customers, language);
            for (customer, tag) in [("shop-1", "en"), ("shop-1", "de"), ("bank-1", "EN")] {
                let is_theirs = customers.is_none_or(|prefix| customer.starts_with(prefix));
                let is_read = language.is_none_or(|it| tag.eq_ignore_ascii_case(it));
                let expected = if is_theirs && is_read { 200 } else { 403 };
                assert_eq!(status(reach.covers_dialog(&dialog(customer, tag))), expected);
                let expected = if is_theirs { 200 } else { 403 };
                let customer = customer.parse().expect("an id");
                assert_eq!(status(reach.covers_customer(&customer)), expected);
            }
            let is_all = customers.is_none() && language.is_none();
            assert_eq!(status(reach.covers_all()), if is_all { 200 } else { 403 });
            assert_eq!(reach.for_store().is_all(), is_all);
        }
    }

    #[tokio::test]
    async fn a_decision_out_of_reach_is_not_found_and_one_that_is_gone_shows_no_evidence() {
        let store = MemoryStore::new(Arc::new(SystemClock), RefKey::from_bytes([7; 32]));
        for (customer, id) in [("shop-1", "ours"), ("bank-1", "theirs"), ("bank-1", "gone")] {
            let dialog = NewDialog::parse(customer, id, "en", "Hello").expect("valid");
            store.insert(dialog).await.expect("a new dialog is stored");
        }
        let gone = "gone".parse().expect("an id");
        store.decide(gone, Decision::Withdrawn, Evidence::default()).await.expect("a decision");
        let (all, shop) = (reach(None, None), reach(Some("shop-"), None));
        let covers = async |reach: &CallerReach, id: &str| {
            let id = id.parse().expect("an id");
            reach.covers_decision(&store, &id).await.map_err(|it| status::<()>(Err(it)))
        };
        for id in ["ours", "theirs", "gone", "unknown"] {
            assert_eq!(covers(&all, id).await, Ok(EvidenceReach::All), "{id}");
        }
        assert_eq!(covers(&shop, "ours").await, Ok(EvidenceReach::All));
        assert_eq!(covers(&shop, "theirs").await, Err(404));
        assert_eq!(covers(&shop, "unknown").await, Err(404));
        assert_eq!(covers(&shop, "gone").await, Ok(EvidenceReach::Own));
    }

    #[test]
    fn a_caller_sees_the_evidence_within_its_reach_or_that_it_has_sent() {
        let reference = DialogRef::from_bytes([1; 32]);
        let (sent, kind) = (Evidence::of_import(), EventKind::Withdrawn);
        let event = ChainHead::EMPTY.next(reference, kind, Date::MIN, sent.clone());
        let other = Evidence::parse(Some("v2".to_owned()), None, None).expect("valid");
        let hidden = event.clone().without_evidence();
        assert_ne!(event, hidden);
        for (reach, sent, shown) in [
            (EvidenceReach::All, &other, &event),
            (EvidenceReach::All, &sent, &event),
            (EvidenceReach::Own, &sent, &event),
            (EvidenceReach::Own, &other, &hidden),
            (EvidenceReach::Own, &Evidence::default(), &hidden),
        ] {
            assert_eq!(&reach.of(event.clone(), sent), shown, "{reach:?}");
        }
    }
}

//! The auditor's log: who asked for what, and how that ended. It names dialogs and customers by
//! keyed hashes alone, as the ledger does.

use std::sync::Arc;

use dataapi_core::{CustomerId, DialogId, DialogRef, DialogStore, Filter, KeyName};
use http::StatusCode;

/// The target of its events, so that they can go to a sink of their own.
pub(crate) const TARGET: &str = "dataapi_access";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// Someone with the key of that name.
    Key(KeyName),
    /// The subject of an identity provider's token.
    Subject(Arc<str>),
}

impl Caller {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Key(name) => Some(name.as_str()),
            Self::Subject(_) => None,
        }
    }

    fn subject(&self) -> Option<&str> {
        match self {
            Self::Key(_) => None,
            Self::Subject(subject) => Some(subject),
        }
    }
}

/// What is known of a request for the auditor; empty where nobody listens.
#[derive(Debug, Default)]
pub(crate) struct AccessEntry {
    /// Whether the request is one for data, and someone wants to know.
    is_noted: bool,
    caller: Option<Caller>,
    dialog: Option<DialogRef>,
    customer: Option<DialogRef>,
    filter: String,
}

impl AccessEntry {
    /// A request for data.
    pub(crate) fn begin(&mut self, is_noted: bool) {
        self.is_noted = is_noted;
    }

    /// By that caller.
    pub(crate) fn by(&mut self, caller: &Caller) {
        if self.is_noted {
            self.caller = Some(caller.clone());
        }
    }

    /// For changes with their dialogs, which are texts that leave the store.
    pub(crate) fn with_dialogs(&mut self) {
        if self.is_noted {
            self.filter.push_str("dialogs=true");
        }
    }

    /// About that dialog.
    pub(crate) fn dialog(&mut self, store: &dyn DialogStore, id: &DialogId) {
        if self.is_noted {
            self.dialog = Some(store.reference(id));
        }
    }

    /// About that customer.
    pub(crate) fn customer(&mut self, store: &dyn DialogStore, id: &CustomerId) {
        if self.is_noted {
            // Ids of both kinds have the same bounds.
            self.customer = id.as_str().parse().ok().map(|id| store.reference(&id));
        }
    }

    /// For those that match.
    pub(crate) fn filter(&mut self, store: &dyn DialogStore, filter: &Filter) {
        if !self.is_noted {
            return;
        }
        if let Some(customer) = filter.customer_id() {
            self.customer(store, customer);
        }
        self.filter = dataapi_wire::filter::for_log(filter);
    }

    /// Writes it down.
    pub(crate) fn end(
        &self,
        request_id: &str,
        method: &'static str,
        route: &'static str,
        status: StatusCode,
    ) {
        if self.is_noted {
            tracing::info!(
                target: TARGET,
                request_id,
                key = self.caller.as_ref().and_then(Caller::key),
                subject = self.caller.as_ref().and_then(Caller::subject),
                method,
                route,
                status = status.as_u16(),
                dialog_ref = self.dialog.map(tracing::field::display),
                customer_ref = self.customer.map(tracing::field::display),
                filter = Some(self.filter.as_str()).filter(|filter| !filter.is_empty()),
                "access"
            );
        }
    }
}

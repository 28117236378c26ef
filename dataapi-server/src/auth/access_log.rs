//! The access log, for auditors: who sent which request, and the status of the answer. Like the ledger, it names
//! dialogs and customers only by keyed hashes.

use std::net::IpAddr;
use std::sync::Arc;

use dataapi_core::{CustomerId, DialogId, DialogRef, DialogStore, Filter, KeyName};
use http::StatusCode;

/// The target of the access log's events, so that they can go to a sink of their own.
pub(crate) const TARGET: &str = "dataapi_access";

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// A client with the key of this name.
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

/// The access log's entry for a request; empty if the log is off.
#[derive(Debug, Default)]
pub(crate) struct AccessEntry {
    /// Whether the request is logged: it is for data, and the log is on.
    is_noted: bool,
    caller: Option<Caller>,
    peer: Option<DialogRef>,
    dialog: Option<DialogRef>,
    customer: Option<DialogRef>,
    filter: String,
}

impl AccessEntry {
    /// Begins the entry of a request for data.
    pub(crate) fn begin(&mut self, is_noted: bool) {
        self.is_noted = is_noted;
    }

    /// Notes the caller.
    pub(crate) fn by(&mut self, caller: &Caller) {
        if self.is_noted {
            self.caller = Some(caller.clone());
        }
    }

    /// Notes the address of the client: it is personal data, so by its keyed hash, as an id is.
    pub(crate) fn peer(&mut self, store: &dyn DialogStore, client: IpAddr) {
        if self.is_noted {
            self.peer = client.to_string().parse().ok().map(|address| store.reference(&address));
        }
    }

    /// Notes a request for changes with their dialogs, because their texts leave the store.
    pub(crate) fn with_dialogs(&mut self) {
        if self.is_noted {
            self.filter.push_str("dialogs=true");
        }
    }

    /// Notes the dialog.
    pub(crate) fn dialog(&mut self, store: &dyn DialogStore, id: &DialogId) {
        if self.is_noted {
            self.dialog = Some(store.reference(id));
        }
    }

    /// Notes the customer.
    pub(crate) fn customer(&mut self, store: &dyn DialogStore, id: &CustomerId) {
        if self.is_noted {
            // Ids of both kinds have the same bounds.
            self.customer = id.as_str().parse().ok().map(|id| store.reference(&id));
        }
    }

    /// Notes the filter of a query.
    pub(crate) fn filter(&mut self, store: &dyn DialogStore, filter: &Filter) {
        if !self.is_noted {
            return;
        }
        if let Some(customer) = filter.customer_id() {
            self.customer(store, customer);
        }
        self.filter = dataapi_wire::filter::for_log(filter);
    }

    /// Writes the entry.
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
                peer_ref = self.peer.map(tracing::field::display),
                dialog_ref = self.dialog.map(tracing::field::display),
                customer_ref = self.customer.map(tracing::field::display),
                filter = Some(self.filter.as_str()).filter(|filter| !filter.is_empty()),
                "access"
            );
        }
    }
}

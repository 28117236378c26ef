//! One request as its handler sees it: what was sent, who may see what, and what answers it.

use std::ops::Deref;

use dataapi_core::{CustomerId, DialogId, DialogStore, Filter};
use http::{HeaderMap, Method, Uri};
use tokio::sync::SemaphorePermit;

use crate::auth::access_log::AccessEntry;
use crate::auth::reach::CallerReach;
use crate::net::body::{self, RequestBody};
use crate::net::buffers::Room;
use crate::path::{Parameters, Prefix};
use crate::problem::Problem;
use crate::state::State;

/// A request but for its body.
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
}

/// A request that its caller may make. Its handler checks the query, then the ids, then the body, and
/// reports the first that is wrong.
pub(crate) struct Request<'r> {
    pub(crate) state: &'r State,
    pub(crate) prefix: Prefix,
    pub(crate) reach: CallerReach,
    pub(crate) parameters: Parameters<'r>,
    pub(crate) head: &'r RequestHead,
    pub(crate) body: &'r mut dyn RequestBody,
    pub(crate) access: &'r mut AccessEntry,
}

/// The store for a request that is among those that are answered at once.
pub(crate) struct Admitted<'r> {
    store: &'r (dyn DialogStore + 'static),
    _permit: SemaphorePermit<'r>,
}

impl Deref for Admitted<'_> {
    type Target = dyn DialogStore + 'static;

    fn deref(&self) -> &Self::Target {
        self.store
    }
}

impl<'r> Request<'r> {
    /// The query string, empty if there is none.
    pub(crate) fn query(&self) -> &'r str {
        self.head.target.query().unwrap_or_default()
    }

    /// Refuses any query: where none means anything, a parameter is a mistake.
    pub(crate) fn takes_no_query(&self) -> Result<(), Problem> {
        dataapi_wire::no_parameters(self.query()).map_err(Problem::bad_query)
    }

    /// The ids of a path that names a customer and a dialog.
    pub(crate) fn customer_and_dialog(&mut self) -> Result<(CustomerId, DialogId), Problem> {
        let [customer, dialog] = self.parameters;
        let ids = (customer.customer_id()?, dialog.dialog_id()?);
        self.access.dialog(&*self.state.store, &ids.1);
        Ok(ids)
    }

    /// The id of a path that names a dialog.
    pub(crate) fn dialog(&mut self) -> Result<DialogId, Problem> {
        let dialog_id = self.parameters[0].dialog_id()?;
        self.access.dialog(&*self.state.store, &dialog_id);
        Ok(dialog_id)
    }

    /// The id of a path that names a customer.
    pub(crate) fn customer(&mut self) -> Result<CustomerId, Problem> {
        let customer_id = self.parameters[0].customer_id()?;
        self.access.customer(&*self.state.store, &customer_id);
        Ok(customer_id)
    }

    /// Notes for the auditor which dialogs are asked for.
    pub(crate) fn note_filter(&mut self, filter: &Filter) {
        self.access.filter(&*self.state.store, filter);
    }

    /// Reads the whole body; it has its room until that is dropped.
    pub(crate) async fn body(&mut self) -> Result<(Vec<u8>, Room), Problem> {
        let State { body_limits, buffers, .. } = self.state;
        body::read(self.body, &self.head.headers, *body_limits, buffers).await
    }

    /// The store, if no more requests are answered than may be at once. A handler that waits for its client
    /// asks for it afterwards.
    pub(crate) fn admit(&self) -> Result<Admitted<'r>, Problem> {
        let permit = self.state.permits.try_acquire();
        let permit = permit.map_err(|_| Problem::too_many_requests())?;
        Ok(Admitted { store: &*self.state.store, _permit: permit })
    }
}

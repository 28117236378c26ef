//! A request as its handler sees it: what was sent, the caller's reach, and the state of the server.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Deref;

use dataapi_core::{CustomerId, DialogId, DialogStore, Filter};
use http::{HeaderMap, Method, Uri};
use tokio::sync::SemaphorePermit;

use crate::auth::access_log::AccessEntry;
use crate::auth::reach::CallerReach;
use crate::net::body::{self, RequestBody};
use crate::net::buffers::Room;
use crate::net::forwarded::Forwarded;
use crate::path::{Parameters, Prefix};
use crate::problem::Problem;
use crate::state::State;

/// A request without its body.
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    /// The address at the other end of the connection: the client's own or that of a proxy.
    pub(crate) peer: IpAddr,
    pub(crate) headers: HeaderMap,
}

/// A request whose key was checked. Its handler checks the query, then the ids, then the body, and reports the first
/// that is wrong.
pub(crate) struct Request<'r> {
    pub(crate) state: &'r State,
    pub(crate) prefix: Prefix,
    pub(crate) reach: CallerReach,
    pub(crate) parameters: Parameters<'r>,
    pub(crate) head: &'r RequestHead,
    pub(crate) forwarded: &'r Forwarded,
    pub(crate) body: &'r mut dyn RequestBody,
    pub(crate) access: &'r mut AccessEntry,
}

/// The store, for one of the requests that are answered at once. Dropping it makes room for the next.
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
    /// Returns what every URL in the answer begins with: the path that proxies have stripped, and the prefix of the
    /// request.
    pub(crate) fn url_prefix(&self) -> Cow<'static, str> {
        let (public, own) = (self.state.public_prefix(self.forwarded), self.prefix.as_str());
        if public.is_empty() { own.into() } else { format!("{public}{own}").into() }
    }

    /// The query string; empty if there is none.
    pub(crate) fn query(&self) -> &'r str {
        self.head.target.query().unwrap_or_default()
    }

    /// Refuses any query string: this route knows no parameter, so one is a mistake.
    pub(crate) fn takes_no_query(&self) -> Result<(), Problem> {
        dataapi_wire::no_parameters(self.query()).map_err(Problem::bad_query)
    }

    /// Parses the ids of a path with a customer and a dialog, and notes the dialog for the access log.
    pub(crate) fn customer_and_dialog(&mut self) -> Result<(CustomerId, DialogId), Problem> {
        let [customer, dialog] = self.parameters;
        let ids = (customer.customer_id()?, dialog.dialog_id()?);
        self.access.dialog(&*self.state.store, &ids.1);
        Ok(ids)
    }

    /// Parses the id of a path with a dialog, and notes it for the access log.
    pub(crate) fn dialog(&mut self) -> Result<DialogId, Problem> {
        let dialog_id = self.parameters[0].dialog_id()?;
        self.access.dialog(&*self.state.store, &dialog_id);
        Ok(dialog_id)
    }

    /// Parses the id of a path with a customer, and notes it for the access log.
    pub(crate) fn customer(&mut self) -> Result<CustomerId, Problem> {
        let customer_id = self.parameters[0].customer_id()?;
        self.access.customer(&*self.state.store, &customer_id);
        Ok(customer_id)
    }

    /// Notes the filter for the access log.
    pub(crate) fn note_filter(&mut self, filter: &Filter) {
        self.access.filter(&*self.state.store, filter);
    }

    /// Reads the whole body. It counts as held in memory until the [`Room`] is dropped.
    pub(crate) async fn body(&mut self) -> Result<(Vec<u8>, Room), Problem> {
        let State { body_limits, buffers, .. } = self.state;
        body::read(self.body, &self.head.headers, *body_limits, buffers).await
    }

    /// Returns the store, unless the maximum number of requests at once is reached. A handler that waits for its
    /// client, as for a body, calls this afterwards.
    pub(crate) fn admit(&self) -> Result<Admitted<'r>, Problem> {
        let permit = self.state.permits.try_acquire();
        let permit = permit.map_err(|_| Problem::too_many_requests())?;
        Ok(Admitted { store: &*self.state.store, _permit: permit })
    }
}

//! A request as its handler sees it: what was sent, the caller's reach, and the state of the server.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use dataapi_core::{CustomerId, DialogId, DialogStore, Filter, Role};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, Method, Uri, Version};

use crate::auth::access_log::{AccessEntry, Asked};
use crate::auth::keyring::STALE;
use crate::auth::reach::CallerReach;
use crate::net::body::{self, RequestBody};
use crate::net::client::Client;
use crate::net::forwarded::Forwarded;
use crate::net::places::Place;
use crate::net::shares::{Seat, Share, Taken};
use crate::path::{Parameters, Prefix};
use crate::problem::Problem;
use crate::state::State;

/// A request without its body.
pub(crate) struct RequestHead {
    /// When it was complete.
    pub(crate) started: Instant,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) client: Client,
    /// The place of the connection, until a request on it was authorised.
    pub(crate) place: Option<Arc<Place>>,
}

/// A request whose key was checked. Its handler checks the query, then the ids, then the body, and reports the first
/// that is wrong.
pub(crate) struct Request<'r> {
    pub(crate) state: &'r State,
    pub(crate) prefix: Prefix,
    /// The role of the caller that the route needs; `None` if it needs none.
    pub(crate) role: Option<Role>,
    pub(crate) reach: &'r CallerReach,
    /// What the caller has of the memory, the places and the turns that all callers share.
    pub(crate) share: &'r Arc<Share>,
    pub(crate) parameters: Parameters<'r>,
    pub(crate) head: &'r RequestHead,
    pub(crate) forwarded: &'r Forwarded,
    pub(crate) body: &'r mut dyn RequestBody,
    pub(crate) access: &'r mut AccessEntry,
    pub(crate) asked: Asked<'r>,
}

/// Who asks for a list, and what all callers share.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'r> {
    pub(crate) state: &'r State,
    pub(crate) share: &'r Arc<Share>,
    pub(crate) client: &'r Client,
}

/// The store, for one of the requests that are answered at once. Dropping it makes room for the next.
pub(crate) struct Admitted<'r> {
    store: &'r (dyn DialogStore + 'static),
    _place: Seat<'r>,
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

    /// Whether the client says which content codings it takes.
    pub(crate) fn wants_coding(&self) -> bool {
        self.head.headers.contains_key(ACCEPT_ENCODING)
    }

    /// Who asks, for a list.
    pub(crate) fn asking(&self) -> Asking<'r> {
        Asking { state: self.state, share: self.share, client: &self.head.client }
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

    /// Notes that a write begins, for the access log. A handler calls this right before it changes the store.
    pub(crate) fn begin_write(&mut self) -> Result<(), Problem> {
        match &self.state.access_log {
            Some(log) => log.begin_write(self.access, self.asked).map_err(Problem::not_logged),
            None => Ok(()),
        }
    }

    /// Reads the whole body. It counts as held in memory until its room is given back, which has place for the answer
    /// to a write: that must not be refused.
    pub(crate) async fn body(&mut self) -> Result<(Vec<u8>, Taken), Problem> {
        /// The answer repeats the body, at most, and adds this: ids, a date and a place in the ledger.
        const ANSWER: usize = 4 * 1024;
        let State { body_limits, buffers, .. } = self.state;
        let started = Instant::now();
        let room = buffers.body(self.share);
        let (body, mut room) =
            body::read(self.body, &self.head.headers, *body_limits, room).await?;
        if started.elapsed() >= STALE {
            self.check_again()?;
        }
        room.grow(ANSWER).map_err(|_| Problem::no_room())?;
        Ok((body, room))
    }

    /// Checks the key again, after the request waited for its client or for an event.
    pub(crate) fn check_again(&self) -> Result<(), Problem> {
        let Some(role) = self.role else { return Ok(()) };
        let State { keyring, clock, .. } = self.state;
        keyring.check_again(&self.head.headers, role, self.reach.for_store(), &**clock)
    }

    /// Returns the store, unless the maximum number of requests at once is reached. A handler that waits for its
    /// client, as for a body, calls this afterwards.
    pub(crate) fn admit(&self) -> Result<Admitted<'r>, Problem> {
        let place = self.state.places.seat(self.share);
        let place = place.map_err(|_| Problem::too_many_requests())?;
        Ok(Admitted { store: &*self.state.store, _place: place })
    }
}

//! What the handler of a request needs to know of its first line and of its connection.

use std::sync::Arc;

use http::{Request, Uri, Version};

use crate::net::client::Client;
use crate::net::places::Place;

/// What is known of a request beside its method, its headers and its body.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) version: Version,
    /// warp's own filter for whole paths panics on a target without a path, as in CONNECT, and its filter for queries
    /// rejects a target without a query.
    pub(crate) target: Uri,
    pub(crate) client: Client,
    /// The place of the connection, until a request on it was authorised.
    pub(crate) place: Option<Arc<Place>>,
}

impl Arrival {
    /// Puts it where the handler finds it: in one piece, because each extension has allocations of its own.
    pub(crate) fn note<B>(request: &mut Request<B>, client: &Client, place: &Arc<Place>) {
        let arrival = Self {
            version: request.version(),
            target: request.uri().clone(),
            client: client.clone(),
            place: (!place.is_authorised()).then(|| Arc::clone(place)),
        };
        request.extensions_mut().insert(arrival);
    }
}

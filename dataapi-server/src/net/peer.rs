//! Tells each request from which address its connection came.

use std::net::IpAddr;

use hyper::Request;
use hyper::service::Service;

/// The address at the other end of a connection, as an extension of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A service for the requests of one connection.
#[derive(Clone, Debug)]
pub(crate) struct FromPeer<S> {
    pub(crate) peer: Peer,
    pub(crate) service: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for FromPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.peer);
        self.service.call(request)
    }
}

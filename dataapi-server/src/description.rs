//! The API's description as JSON, with the URLs of the server that serves it.

use std::sync::Arc;

use bytes::Bytes;
use utoipa::openapi::{OpenApi, Server};

use crate::net::public_url::PublicUrl;
use crate::ready_pages::Encoded;

/// The description as JSON. Only its `servers` depend on where clients find the server.
pub(crate) struct Description {
    own: (Bytes, Arc<Encoded>),
    servers: Vec<Server>,
    /// All but the servers.
    rest: Vec<u8>,
}

impl Description {
    /// Renders a description for a server with this public URL.
    pub(crate) fn new(mut description: OpenApi, public_url: Option<&PublicUrl>) -> Self {
        let servers = description.servers.take().unwrap_or_default();
        // It is made of compiled-in values, so it cannot fail on one machine and succeed on another.
        let rest = serde_json::to_vec(&description).unwrap_or_default();
        let mut description =
            Self { own: (Bytes::new(), Arc::new(Encoded::of_the_program())), servers, rest };
        let base = public_url.map(PublicUrl::to_string).unwrap_or_default();
        description.own.0 = description.under(&base);
        description
    }

    /// Returns the description of the server at its own URL.
    pub(crate) fn own(&self) -> &(Bytes, Arc<Encoded>) {
        &self.own
    }

    /// Renders the description of a server whose URLs begin like this.
    pub(crate) fn under(&self, base: &str) -> Bytes {
        let servers = self.servers.iter().cloned().map(|mut server| {
            let url = format!("{base}{}", server.url.trim_end_matches('/'));
            server.url = if url.is_empty() { "/".to_owned() } else { url };
            server
        });
        let servers = serde_json::to_vec(&servers.collect::<Vec<_>>()).unwrap_or_default();
        // The rest is an object with members.
        let members = self.rest.get(1..).unwrap_or_default();
        [b"{\"servers\":", &*servers, b",", members].concat().into()
    }
}

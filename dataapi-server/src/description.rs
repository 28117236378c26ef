//! The API's description as JSON, with the URLs of the server that serves it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use utoipa::openapi::{OpenApi, Server};

use crate::net::public_url::PublicUrl;
use crate::ready_pages::Encoded;

/// How many descriptions for path prefixes of proxies are kept. A proxy that passes on what its clients say can name any
/// number of them, and the further ones are rendered at each request.
const KEPT: usize = 4;

/// A description in JSON, with its encoded forms.
pub(crate) type Rendered = (Bytes, Arc<Encoded>);

/// The description as JSON. Only its `servers` depend on where clients find the server.
pub(crate) struct Description {
    own: Rendered,
    /// By the beginning of their URLs.
    others: Mutex<Vec<(String, Rendered)>>,
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
        let own = (Bytes::new(), Arc::new(Encoded::of_the_program()));
        let mut description = Self { own, others: Mutex::default(), servers, rest };
        let base = public_url.map(PublicUrl::to_string).unwrap_or_default();
        description.own.0 = description.under(&base);
        description
    }

    /// Returns the description of the server at its own URL.
    pub(crate) fn own(&self) -> &Rendered {
        &self.own
    }

    /// Returns the description of a server whose URLs begin like this, if it is one of the few that are kept.
    pub(crate) fn kept_under(&self, base: &str) -> Option<Rendered> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rendered)) = others.iter().find(|(known, _)| known == base) {
            return Some(rendered.clone());
        }
        if others.len() >= KEPT {
            return None;
        }
        let rendered = (self.under(base), Arc::new(Encoded::of_the_program()));
        others.push((base.to_owned(), rendered.clone()));
        Some(rendered)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_rendered_once_and_few_of_them_are_kept() {
        let description = Description::new(crate::openapi::description(), None);
        let first = description.kept_under("/0").expect("it is kept");
        for number in 1..10 {
            let kept = description.kept_under(&format!("/{number}"));
            assert_eq!(kept.is_some(), number < KEPT);
        }
        let again = description.kept_under("/0").expect("it is kept");
        assert_eq!(again.0.as_ptr(), first.0.as_ptr());
        assert!(Arc::ptr_eq(&again.1, &first.1));
    }
}

//! The table of routes. Everything that depends only on the route follows from its line in the table.

use dataapi_core::Role::{self, Consent, Ingest, Metrics, Read, Subject};
use http::Method;

use crate::api::answer::Answer;
use crate::path::{Parameters, Path, Prefix, Template};
use crate::request::Request;

use self::Needs::{Key, Nothing};
use self::Time::{Bounded, Own};

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// No key and no token: the route is open to anyone.
    Nothing,
    /// A key or a token with this role. A store without keys needs none, unless the server accepts tokens.
    Key(Role),
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// The server's limit for all answers.
    Bounded,
    /// The time that the request asks for.
    Own,
}

/// Makes the table of routes, the calls of their handlers, and the paths of the API's description from one line for
/// each route.
macro_rules! routes {
    ($($method:ident $path:literal $needs:expr, $time:expr => $resource:ident::$handler:ident;)+) => {
        #[derive(Clone, Copy, Debug)]
        #[allow(non_camel_case_types, reason = "each has the name of its handler")]
        enum Handler {
            $($handler),+
        }

        static ROUTES: &[Route] = &[$(
            Route {
                method: Method::$method,
                template: Template::new($path),
                needs: $needs,
                time: $time,
                handler: Handler::$handler,
            }
        ),+];

        impl Route {
            /// Passes the request to its handler. A function pointer would need another box.
            pub(crate) async fn answer(&self, request: Request<'_>) -> Answer {
                match self.handler {
                    $(Handler::$handler => crate::api::$resource::$handler(request).await),+
                }
            }
        }

        /// The descriptions of the routes, from the documentation of their handlers.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($(crate::api::$resource::$handler),+))]
        pub(crate) struct Descriptions;
    };
}

// The routes of one path are next to each other, in the order in which `Allow` lists their methods.
routes! {
    GET    "/data/"                        Key(Read), Bounded    => dialogs::query_dialogs;
    GET    "/data/{customerId}/{dialogId}" Key(Read), Bounded    => dialogs::read_dialog;
    POST   "/data/{customerId}/{dialogId}" Key(Ingest), Bounded  => dialogs::insert_dialog;
    DELETE "/data/{customerId}/{dialogId}" Key(Subject), Bounded => dialogs::erase_dialog;
    GET    "/consents/{dialogId}"          Key(Consent), Bounded => consents::read_consent;
    POST   "/consents/{dialogId}"          Key(Consent), Bounded => consents::decide;
    GET    "/consents/{dialogId}/receipt"  Key(Consent), Bounded => consents::read_receipt;
    GET    "/changes"                      Key(Read), Own        => changes::read_changes;
    DELETE "/customers/{customerId}"       Key(Subject), Bounded => customers::erase_customer;
    GET    "/customers/{customerId}/data"  Key(Subject), Bounded => customers::read_customer_data;
    GET    "/stats"                        Key(Read), Bounded    => stats::read_stats;
    GET    "/metrics"                      Key(Metrics), Bounded => metrics::read_metrics;
    GET    "/health/live"                  Nothing, Bounded      => health::live;
    GET    "/health/ready"                 Nothing, Bounded      => health::ready;
    GET    "/version"                      Nothing, Bounded      => version::read_version;
    GET    "/openapi.json"                 Nothing, Bounded      => openapi::read_description;
    GET    "/docs"                         Nothing, Bounded      => docs::docs_entrance;
    GET    "/docs/{file}"                  Nothing, Bounded      => docs::docs_file;
}

/// One line of the table of routes.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: Template,
    pub(crate) needs: Needs,
    pub(crate) time: Time,
    handler: Handler,
}

impl Route {
    /// Whether a request reads or changes what is stored about customers, as opposed to how the server is doing.
    pub(crate) fn is_for_data(&self) -> bool {
        matches!(self.needs, Key(Ingest | Consent | Read | Subject))
    }

    /// Whether a request can change the store.
    pub(crate) fn writes(&self) -> bool {
        !self.method.is_safe()
    }
}

/// Returns all routes; those of one path are next to each other.
pub(crate) fn routes() -> &'static [Route] {
    ROUTES
}

/// The routes of one path, and what varies in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'p> {
    pub(crate) prefix: Prefix,
    pub(crate) parameters: Parameters<'p>,
    /// The index of the first route of this path.
    pub(crate) index: usize,
}

impl<'p> Found<'p> {
    /// Finds the routes of a raw path; `None` if there are none.
    pub(crate) fn at(path: &'p str) -> Option<Self> {
        let path = Path::parse(path)?;
        let mut routes = ROUTES.iter().enumerate();
        let (index, parameters) =
            routes.find_map(|(index, route)| Some((index, route.template.matches(&path)?)))?;
        Some(Self { prefix: path.prefix, parameters, index })
    }

    pub(crate) fn template(&self) -> &'static str {
        ROUTES[self.index].template.as_str()
    }

    /// Returns the route of this path for `method`; `None` if the path does not support it.
    pub(crate) fn route(&self, method: &Method) -> Option<&'static Route> {
        // HEAD is GET without the body of the answer.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.routes().find(|route| route.method == method)
    }

    /// Returns the value of `Allow` for this path.
    pub(crate) fn allowed(&self) -> String {
        let methods = self.routes().map(|route| match route.method {
            Method::GET => "GET, HEAD",
            _ => route.method.as_str(),
        });
        methods.collect::<Vec<_>>().join(", ")
    }

    fn routes(&self) -> impl Iterator<Item = &'static Route> {
        let template = self.template();
        ROUTES[self.index..].iter().take_while(move |route| route.template.as_str() == template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_at_its_own_path_under_both_prefixes() {
        for route in routes() {
            for prefix in [Prefix::Bare, Prefix::V1] {
                let path = format!("{}{}", prefix.as_str(), route.template.as_str());
                let found = Found::at(&path).expect("a path");
                assert_eq!((found.template(), found.prefix), (route.template.as_str(), prefix));
                let there = found.route(&route.method).expect("the method is allowed");
                assert!(std::ptr::eq(there, route), "{} {path}", route.method);
            }
        }
    }

    #[test]
    fn methods_of_a_path_are_told_in_one_order() {
        let order = [Method::GET, Method::POST, Method::DELETE];
        let place = |route: &Route| order.iter().position(|method| *method == route.method);
        for found in routes().iter().filter_map(|route| Found::at(route.template.as_str())) {
            assert!(found.routes().map(place).is_sorted(), "{}", found.template());
            assert!(found.routes().all(|route| place(route).is_some()));
        }
    }

    #[test]
    fn only_the_list_of_dialogs_has_a_trailing_slash() {
        assert!(Found::at("/data/").is_some());
        assert!(Found::at("/data").is_some());
        for path in ["/stats/", "/consents/d/", "/customers/c/", "/data/c/d/", "/metrics/", "/v1"] {
            assert!(Found::at(path).is_none(), "{path}");
        }
    }
}

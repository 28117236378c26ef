//! `/openapi.json`: the API's description, made from the handlers and the types of the JSON, so that
//! it says what they do.

use bytes::Bytes;
use dataapi_wire as wire;
use http::Method;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::Type;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::router::{Descriptions, Needs, Route, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "DataAPI",
        description = "A consent-gated store for chatbot dialogs. Until a dialog's customer \
            consents nobody can read its text; after a *no* it is gone.\n\n\
            Bodies are JSON whatever `Content-Type` says. Every route stands with and without \
            `/v1`. Every `GET` answers `HEAD` too. An answer in the 200s means it is on disk, an \
            error means nothing changed.\n\n\
            What is not HTTP, or has a head too large, never gets as far as these routes: it is \
            refused with 400, 414 or 431 and no document.",
    ),
    servers(
        (url = "/v1", description = "This server"),
        (url = "/", description = "This server, as older clients ask it"),
    ),
    tags(
        (name = "dialogs", description = "Stored while they run, read once consented to"),
        (name = "consent", description = "What customers decide, and the ledger of it"),
        (name = "customers", description = "What customers have a right to"),
        (name = "operations", description = "Counts, health, metrics, and this description"),
    ),
    components(schemas(wire::Id, wire::LanguageTag, wire::LanguageTagOrRange, wire::ProblemDocument<'_>)),
)]
struct General;

/// Tells of each operation which role a key needs for it, and how it is refused without.
struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        const SCHEME: &str = "key";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key as 'dataapi key create' shows it. A store without keys needs none.",
            ))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        for route in routes() {
            let Needs::Key(role) = route.needs else { continue };
            if let Some(operation) = operation(description, route) {
                let needed = SecurityRequirement::new(SCHEME, [role.name()]);
                operation.security = Some(vec![needed]);
                let responses = &mut operation.responses.responses;
                let mut add = |status: &str, text: &str| {
                    let response = ResponseBuilder::new().description(text).build();
                    responses.entry(status.to_owned()).or_insert(RefOr::T(response));
                };
                add("401", "A key is needed, or the key is refused");
                add("403", &format!("The key lacks the role '{}'", role.name()));
                add("429", "More requests a second than a key may make");
            }
        }
    }
}

/// What is said of a route.
fn operation<'d>(
    description: &'d mut utoipa::openapi::OpenApi,
    route: &Route,
) -> Option<&'d mut Operation> {
    let path = description.paths.paths.get_mut(route.template.as_str())?;
    match route.method {
        Method::GET => path.get.as_mut(),
        Method::POST => path.post.as_mut(),
        Method::DELETE => path.delete.as_mut(),
        _ => None,
    }
}

/// Gives every refusal its document, and every operation the failures that any can have.
struct Problems;

impl Modify for Problems {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let operations = description.paths.paths.values_mut().flat_map(|path| {
            [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten()
        });
        for operation in operations {
            let responses = &mut operation.responses.responses;
            for (status, text) in
                [("500", "The server failed"), ("503", "The store cannot be had just now")]
            {
                let response = ResponseBuilder::new().description(text).build();
                responses.insert(status.to_owned(), RefOr::T(response));
            }
            for (status, response) in responses {
                let RefOr::T(response) = response else { continue };
                if status.starts_with(['4', '5']) {
                    let schema = Ref::from_schema_name("Problem");
                    let content = ContentBuilder::new().schema(Some(schema)).build();
                    response.content.insert("application/problem+json".to_owned(), content.into());
                }
                for (name, kind, text) in headers(status) {
                    let schema = ObjectBuilder::new().schema_type(kind.clone());
                    let header = HeaderBuilder::new().schema(Some(schema)).description(Some(*text));
                    response.headers.insert((*name).to_owned(), header.build().into());
                }
            }
        }
    }
}

/// What a header is called, holds, and means.
type Header = (&'static str, Type, &'static str);

/// The headers that an answer has for its status alone.
fn headers(status: &str) -> &'static [Header] {
    const REQUEST_ID: Header = (
        "X-Request-Id",
        Type::String,
        "The request's own, where it had one that is fit for a log; else a fresh one",
    );
    const RETRY_AFTER: Header =
        ("Retry-After", Type::Integer, "After how many seconds to ask again");
    const CHALLENGE: Header =
        ("WWW-Authenticate", Type::String, "What key to bring, where it is that which lacks");
    match status {
        "401" | "403" => &[REQUEST_ID, CHALLENGE],
        "429" | "503" => &[REQUEST_ID, RETRY_AFTER],
        _ => &[REQUEST_ID],
    }
}

fn description() -> utoipa::openapi::OpenApi {
    let mut description = General::openapi();
    description.merge(Descriptions::openapi());
    Keys.modify(&mut description);
    Problems.modify(&mut description);
    description
}

/// The description as JSON.
pub(crate) fn document() -> Bytes {
    // Made of what was compiled in: it does not fail on one machine and succeed on another.
    serde_json::to_vec(&description()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::PathItem;

    use super::*;

    #[test]
    fn what_handlers_say_of_their_method_and_path_is_what_the_router_does() {
        let mut description = description();
        for route in routes() {
            let said = operation(&mut description, route);
            assert!(said.is_some(), "{} {}", route.method, route.template.as_str());
        }
        let paths = description.paths.paths.into_values();
        let said = paths.map(|path| {
            let PathItem { get, post, delete, put, patch, .. } = path;
            [get, post, delete, put, patch].into_iter().flatten().count()
        });
        assert_eq!(said.sum::<usize>(), routes().len());
    }
}

//! `/openapi.json`: the API's description, made from the table of routes, the handlers and the types of the JSON.

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
        description = "A consent-gated store for chatbot dialogs. A chatbot stores each dialog \
            while it runs. Nobody can read its text until the customer consents, and a withdrawal \
            erases it.\n\n\
            **Requests.** Bodies are JSON in UTF-8, whatever `Content-Type` says. Every route exists \
            with and without the prefix `/v1`. Every `GET` route also answers `HEAD`.\n\n\
            **Keys.** Send a key as `Authorization: Bearer KEY`, or a token of an identity provider \
            if the server accepts them. Each operation names the role that it needs; the role `admin` \
            includes all others. A key can be bound to customers or languages; it then reaches only \
            their dialogs. If the store has no keys and the server accepts no tokens, anyone who can \
            reach the server may call every operation. The server then answers only to loopback \
            names in `Host`, and not to web pages of other sites: 403.\n\n\
            **Outcomes.** An answer in the 200s means that the change is on disk, except in a store \
            that is only in memory. An error means that nothing changed, with one exception: where \
            the outcome of a commit is unknown, the `detail` of the answer says so. The change then \
            happened whole or not at all. A connection that breaks before the answer means the same. \
            Send the request again to find out: a repeated insert gets 201, or 409 with \
            `same_content` true; a repeated decision gets the first receipt; a repeated erasure of a \
            dialog gets 200, or 404 if it is already erased; a repeated erasure of a customer gets \
            200.\n\n\
            **Errors.** Every error is a problem document (RFC 9457). Its `type` is for programs; \
            `detail` says what was wrong. No error repeats what the client sent. Only requests that \
            are not valid HTTP, or whose head is too large, get 400 or 431 without a document. A \
            request that does not name exactly one valid host gets 400.",
    ),
    servers(
        (url = "/v1", description = "This server"),
        (url = "/", description = "This server, with the paths that older clients use"),
    ),
    tags(
        (name = "dialogs", description = "Store dialogs while they run; read them once their customers consent"),
        (name = "consent", description = "Record decisions, read their proofs, and follow the ledger"),
        (name = "customers", description = "Answer a customer's request for access or erasure (GDPR articles 15, 17 and 20)"),
        (name = "operations", description = "Counts, health, metrics, the version, and this description"),
    ),
    components(schemas(wire::Id, wire::LanguageTag, wire::LanguageTagOrRange, wire::ProblemDocument<'_>)),
)]
struct General;

/// Adds to each operation which role it needs, and the errors of a request without it.
struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        const SCHEME: &str = "key";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key that `dataapi key create` printed, or a token (JWT) of an identity provider if \
                 the server accepts them.",
            ))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        for route in routes() {
            let Some(operation) = operation(description, route) else { continue };
            let Needs::Key(role) = route.needs else {
                say(operation, "Needs no key.");
                continue;
            };
            say(operation, &format!("Needs a key with the role `{}`.", role.name()));
            operation.security = Some(vec![SecurityRequirement::new(SCHEME, [role.name()])]);
            let lacking = format!(
                "The key lacks the role `{}`, its bounds exclude this request, or a web page of \
                 another origin sent it",
                role.name()
            );
            for (status, text) in [
                (
                    "401",
                    "The request has no key, the key is unknown, expired or revoked, or the token \
                     is not accepted",
                ),
                ("403", &lacking),
                ("429", "The key has made more requests per second than it may"),
            ] {
                let response = ResponseBuilder::new().description(text).build();
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
}

/// Adds a paragraph to the description of an operation.
fn say(operation: &mut Operation, text: &str) {
    operation.description = Some(match operation.description.take() {
        Some(said) if !said.is_empty() => format!("{said}\n\n{text}"),
        _ => text.to_owned(),
    });
}

/// The operation of a route.
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

/// Adds the problem document to every error, and the failures that every operation can have.
struct Problems;

impl Modify for Problems {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        for route in routes() {
            let Some(operation) = operation(description, route) else { continue };
            let responses = &mut operation.responses.responses;
            let [failed, unavailable] = if route.writes() {
                [
                    "The server failed. `detail` says so if the change might have happened: it then \
                     happened whole or not at all",
                    "The server is overloaded or must not answer without its access log, and nothing \
                     changed, or the store is not available at the moment. `detail` says so if the change might have happened: it then happened \
                     whole or not at all. Send the request again later",
                ]
            } else {
                [
                    "The server failed",
                    "The server is overloaded, must not answer without its access log, or the store is \
                     not available at the moment. Send the request again later",
                ]
            };
            for (status, text) in [("500", failed), ("503", unavailable)] {
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

/// The name, the type and the description of a header.
type Header = (&'static str, Type, &'static str);

/// The headers that depend only on the status of an answer.
fn headers(status: &str) -> &'static [Header] {
    const REQUEST_ID: Header = (
        "X-Request-Id",
        Type::String,
        "The id of the request in the server's log: the client's own if that has 1 to 128 letters, \
         digits, `.`, `_` or `-`, otherwise a new one",
    );
    const RETRY_AFTER: Header =
        ("Retry-After", Type::Integer, "How many seconds to wait before the next try");
    const CHALLENGE: Header = (
        "WWW-Authenticate",
        Type::String,
        "What the request lacks: a key, a valid key, or a role. Absent if the refusal has another reason",
    );
    const CODINGS: Header =
        ("Accept-Encoding", Type::String, "The content codings that a body can have");
    match status {
        "415" => &[REQUEST_ID, CODINGS],
        "401" | "403" => &[REQUEST_ID, CHALLENGE],
        "429" | "503" => &[REQUEST_ID, RETRY_AFTER],
        _ => &[REQUEST_ID],
    }
}

/// Returns the description of a server that clients reach without a prefix.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut description = General::openapi();
    description.merge(Descriptions::openapi());
    Keys.modify(&mut description);
    Problems.modify(&mut description);
    description
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

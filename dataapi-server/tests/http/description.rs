//! The API's own description, and the page that shows it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::server::Server;

/// The contract's routes, as the description writes them.
const ROUTES: [(&str, &[&str]); 15] = [
    ("/data/", &["get"]),
    ("/data/{customerId}/{dialogId}", &["get", "post", "delete"]),
    ("/consents/{dialogId}", &["get", "post"]),
    ("/consents/{dialogId}/receipt", &["get"]),
    ("/changes", &["get"]),
    ("/customers/{customerId}", &["delete"]),
    ("/customers/{customerId}/data", &["get"]),
    ("/stats", &["get"]),
    ("/health/live", &["get"]),
    ("/health/ready", &["get"]),
    ("/metrics", &["get"]),
    ("/version", &["get"]),
    ("/openapi.json", &["get"]),
    ("/docs", &["get"]),
    ("/docs/{file}", &["get"]),
];

async fn description() -> Value {
    let server = Server::memory().await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.get("/v1/openapi.json").await.body, answer.body);
    answer.json()
}

#[tokio::test]
async fn the_description_has_every_route_and_no_other() {
    let description = description().await;
    assert!(description["openapi"].as_str().expect("a version").starts_with("3.1"));
    let described: BTreeSet<_> = description["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(move |method| (&**path, &**method))
        })
        .collect();
    let routes: BTreeSet<_> = ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.iter().map(move |method| (*path, *method)))
        .collect();
    assert_eq!(described, routes);
}

#[tokio::test]
async fn every_described_method_is_served_and_no_other_is_allowed() {
    let server = Server::memory().await;
    for (path, methods) in ROUTES {
        let answer = server.ask("BREW", path.replace(['{', '}'], "").as_str(), "").await;
        let allowed = answer.header("allow").unwrap_or_else(|| panic!("{path} is served"));
        let allowed: BTreeSet<_> =
            allowed.split(", ").filter(|method| *method != "HEAD").map(str::to_lowercase).collect();
        assert_eq!(allowed, methods.iter().map(ToString::to_string).collect(), "{path}");
    }
}

#[tokio::test]
async fn each_operation_tells_its_statuses_and_all_refusals_are_problems() {
    let description = description().await;
    let statuses = |path: &str, method: &str| -> Vec<String> {
        let responses = &description["paths"][path][method]["responses"];
        responses.as_object().expect("responses").keys().cloned().collect()
    };
    assert_eq!(
        statuses("/data/{customerId}/{dialogId}", "post"),
        ["201", "400", "401", "403", "408", "409", "410", "413", "415", "422", "429", "500", "503"]
    );
    assert_eq!(statuses("/data/", "get"), ["200", "400", "401", "403", "429", "500", "503"]);
    assert_eq!(statuses("/health/live", "get"), ["200", "500", "503"]);
    assert_eq!(
        statuses("/data/{customerId}/{dialogId}", "get"),
        ["200", "400", "401", "403", "404", "422", "429", "500", "503"]
    );
    for path in description["paths"].as_object().expect("paths").values() {
        for operation in path.as_object().expect("methods").values() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                let is_problem = schema == "#/components/schemas/Problem";
                assert_eq!(is_problem, status.starts_with(['4', '5']), "{status} {response}");
            }
        }
    }
    let schemas = &description["components"]["schemas"];
    for name in ["Problem", "Dialog", "Page", "NewDialog", "Decision", "Receipt", "Stats"] {
        assert!(schemas[name].is_object(), "{name} in {schemas:#}");
    }
    assert_eq!(schemas["NewDialog"]["additionalProperties"], false);
    assert_eq!(
        schemas["Page"]["required"],
        serde_json::json!(["items", "limit", "offset", "next"])
    );
    assert_eq!(schemas["Decision"]["oneOf"][0]["type"], "boolean");
    assert_eq!(description["servers"][0]["url"], "/v1");
}

#[tokio::test]
async fn the_description_says_what_an_unknown_outcome_means() {
    let description = description().await;
    let general = description["info"]["description"].as_str().expect("a description");
    for said in ["An error means that nothing changed, with one exception", "whole or not at all"] {
        assert!(general.contains(said), "{said}: {general}");
    }
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            for status in ["500", "503"] {
                let said = operation["responses"][status]["description"].as_str();
                let is_named = said.expect("a description").contains("whole or not at all");
                assert_eq!(is_named, method != "get", "{method} {path} {status}: {said:?}");
            }
        }
    }
}

#[tokio::test]
async fn each_operation_says_who_may_call_it() {
    let description = description().await;
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let said = operation["description"].as_str().expect("a description");
            let needed = match operation["security"][0]["key"][0].as_str() {
                Some(role) => format!("Needs a key with the role `{role}`."),
                None => "Needs no key.".to_owned(),
            };
            assert!(said.ends_with(&needed), "{method} {path}: {said}");
            let summary = operation["summary"].as_str().expect("a summary");
            assert!(!summary.is_empty() && summary.len() < 80, "{method} {path}: {summary}");
        }
    }
}

/// Retention writes these events for two reasons.
#[tokio::test]
async fn the_description_has_both_meanings_of_an_expired_event() {
    let description = description().await;
    for said in [
        &description["components"]["schemas"]["EventKind"]["description"],
        &description["paths"]["/changes"]["get"]["description"],
    ] {
        // Where its lines break does not matter.
        let said = said.as_str().expect("a description").split_whitespace();
        let said = said.collect::<Vec<_>>().join(" ");
        let (_, expired) = said.split_once("`expired`").expect("the kind is described");
        assert!(expired.contains("did not come in time"), "{expired}");
        assert!(expired.contains("consented dialog was kept long enough"), "{expired}");
    }
}

#[tokio::test]
async fn the_page_to_try_it_comes_whole_from_here() {
    let server = Server::memory().await;
    for prefix in ["", "/v1"] {
        let entrance = server.get(&format!("{prefix}/docs")).await;
        assert_eq!(entrance.status, 308);
        let page = server.get(entrance.header("location").expect("a location")).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.header("content-type"), Some("text/html"));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe"), "{policy}");

        let html = page.text();
        assert!(!html.contains("//") || !html.contains("src=\"http"), "{html}");
        assert!(!html.contains("<script>"), "the policy would block it: {html}");
        let mut files = 0;
        for link in html.split(['"', '\'']).filter(|part| part.starts_with("./")) {
            let file = server.get(&format!("{prefix}/docs/{}", &link[2..])).await;
            assert_eq!(file.status, 200, "{link}");
            files += 1;
        }
        assert!(files >= 4, "{html}");

        let start = server.get(&format!("{prefix}/docs/swagger-initializer.js")).await;
        let start = start.text();
        assert!(start.contains(r#""url": "../openapi.json""#), "{start}");
        assert!(start.contains(r#""validatorUrl": "none""#), "{start}");
        assert!(!start.contains("http"), "{start}");
        assert_eq!(server.get(&format!("{prefix}/docs/nothing.js")).await.status, 404);
    }
}

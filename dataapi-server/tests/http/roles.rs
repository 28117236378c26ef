//! Keys: each role allows exactly the contract's routes, and an invalid key allows none.

use std::time::Duration;

use dataapi_core::{Audit, Clock, ConsentState, Decision, Grant, NewKey, Reach};
use dataapi_wire as wire;

use crate::keys::{ROLES, becomes, key, secret, with, with_keys};
use crate::server::{Answer, DIALOG, Server, ask};

/// Method, target, body, and the roles that the route allows; `None` if it needs no key.
type Route = (&'static str, &'static str, &'static str, Option<&'static [&'static str]>);

/// The contract's table of who may do what.
const ROUTES: [Route; 20] = [
    ("POST", "/data/anna/d", DIALOG, Some(&["ingest"])),
    ("POST", "/consents/d", "true", Some(&["consent"])),
    ("GET", "/consents/d", "", Some(&["consent"])),
    ("GET", "/consents/d/receipt", "", Some(&["consent"])),
    ("GET", "/data/", "", Some(&["read"])),
    ("HEAD", "/data/", "", Some(&["read"])),
    ("GET", "/data/anna/d", "", Some(&["read"])),
    ("GET", "/changes", "", Some(&["read"])),
    ("GET", "/changes?dialogs=true", "", Some(&["read"])),
    ("GET", "/stats", "", Some(&["read"])),
    ("GET", "/customers/anna/data", "", Some(&["subject"])),
    ("DELETE", "/data/anna/d", "", Some(&["subject"])),
    ("DELETE", "/customers/anna", "", Some(&["subject"])),
    ("GET", "/metrics", "", Some(&["metrics"])),
    ("GET", "/health/live", "", None),
    ("GET", "/health/ready", "", None),
    ("GET", "/version", "", None),
    ("GET", "/openapi.json", "", None),
    ("GET", "/docs", "", None),
    ("GET", "/docs/index.html", "", None),
];

#[tokio::test]
async fn each_role_opens_the_contracts_routes_and_no_other() {
    let (server, _) = with_keys().await;
    for prefix in ["", "/v1"] {
        for (method, path, body, roles) in ROUTES {
            let target = format!("{prefix}{path}");
            let none = server.ask(method, &target, body).await;
            let Some(roles) = roles else {
                assert!(none.status < 400, "{method} {target}: {none:?}");
                continue;
            };
            assert_eq!(none.status, 401, "{method} {target}");
            assert_eq!(none.header("www-authenticate"), Some(r#"Bearer realm="DataAPI""#));
            for (number, role) in (0..).zip(ROLES) {
                let answer = with(&server, number, method, &target, body).await;
                let what = format!("{role}: {method} {target}: {answer:?}");
                if role == "admin" || roles.contains(&role) {
                    assert!(answer.status != 401, "{what}");
                    let lacks = answer.header("www-authenticate").is_some();
                    assert!(!lacks, "{what}");
                } else {
                    assert_eq!(answer.status, 403, "{what}");
                    let challenge = answer.header("www-authenticate").expect("a challenge");
                    let needed = roles[0];
                    assert!(challenge.contains("error=\"insufficient_scope\""), "{what}");
                    assert!(challenge.contains(&format!("scope=\"{needed}\"")), "{what}");
                    if method != "HEAD" {
                        assert_eq!(answer.problem(), "role-missing", "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_role_lacks_is_not_done() {
    let (server, _) = with_keys().await;
    assert_eq!(with(&server, 0, "POST", "/data/anna/d", DIALOG).await.status, 201);
    for number in [0, 2, 3] {
        assert_eq!(with(&server, number, "POST", "/consents/d", "true").await.status, 403);
    }
    for number in [0, 1, 2] {
        assert_eq!(with(&server, number, "DELETE", "/customers/anna", "").await.status, 403);
    }
    let standing = with(&server, 1, "GET", "/consents/d", "").await.json();
    assert_eq!(standing["consent"], "pending");
}

#[tokio::test]
async fn what_is_no_key_of_the_store_is_refused() {
    let (server, _) = with_keys().await;
    let good = secret(2).to_string();
    let (other, cut, shouted) =
        (secret(9).to_string(), &good[..good.len() - 1], good.to_uppercase());
    for header in [
        format!("Bearer {other}"),
        format!("Bearer {cut}"),
        format!("Bearer {good}0"),
        format!("Bearer {shouted}"),
        format!("Bearer{good}"),
        format!("Basic {good}"),
        format!("Token {good}"),
        good.clone(),
        "Bearer ".to_owned(),
        "Bearer null".to_owned(),
        format!("Bearer {good}\r\nauthorization: Bearer {good}"),
        format!("Bearer {good}, Bearer {good}"),
    ] {
        let headers = format!("authorization: {header}\r\n");
        let answer = ask(server.address, "GET", "/data/", &headers, b"").await;
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.problem(), "key-refused", "{header}");
        assert!(!answer.text().contains(&good[8..20]), "an answer never repeats a key");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.contains("invalid_token"), "{challenge}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let headers = format!("authorization: {scheme} {good}\r\n");
        assert_eq!(ask(server.address, "GET", "/data/", &headers, b"").await.status, 200);
    }
}

#[tokio::test]
async fn a_key_works_from_its_making_to_its_end_without_a_restart() {
    let (server, clock) = with_keys().await;
    assert_eq!(with(&server, 2, "GET", "/data/", "").await.status, 200);
    assert!(server.store.revoke_key(&"key-2".parse().expect("a name")).await.expect("revoked"));
    becomes(&server, 2, 401).await;

    let expires = clock.now().saturating_add(Duration::from_secs(60));
    key(&*server.store, 8, "read", Some(expires)).await;
    becomes(&server, 8, 200).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(with(&server, 8, "GET", "/data/", "").await.status, 401, "it has expired");
}

#[tokio::test]
async fn a_store_is_open_until_its_first_key_and_never_again() {
    let server = Server::memory().await;
    assert_eq!(server.get("/data/").await.status, 200);
    assert_eq!(with(&server, 1, "GET", "/data/", "").await.status, 200);
    key(&*server.store, 1, "ingest", None).await;
    becomes(&server, 1, 403).await;
    assert_eq!(server.get("/data/").await.status, 401);
    assert!(server.store.revoke_key(&"key-1".parse().expect("a name")).await.expect("revoked"));
    becomes(&server, 1, 401).await;
    assert_eq!(
        server.get("/data/").await.status,
        401,
        "a store whose keys are revoked stays closed"
    );
}

/// Starts a server with two customers, each with a consented dialog `CUSTOMER-LANGUAGE` in two languages and a pending
/// one. Key 1 has all roles that can be bound and is bound to the customers `shop-…`; key 2 is bound to English.
async fn bound() -> Server {
    let server = Server::memory().await;
    for customer in ["shop-anna", "bank-anna"] {
        for language in ["en", "de"] {
            server.consented(customer, &format!("{customer}-{language}"), language, "t").await;
        }
        let pending = format!("/data/{customer}/{customer}-pending");
        assert_eq!(server.post(&pending, DIALOG).await.status, 201);
    }
    let shop = Reach::default().only_customers("shop-".parse().expect("a prefix"));
    let english = Reach::default().only_languages(vec!["EN".parse().expect("a tag")]);
    for (number, roles, reach) in [
        (1, "ingest,consent,read,subject", shop),
        (2, "ingest,consent,read", english.expect("a language")),
    ] {
        let name = format!("key-{number}").parse().expect("a name");
        let grant = Grant::new(roles.parse().expect("roles"), reach).expect("they can be bound");
        let key = NewKey { name, grant, hash: secret(number).hash(), expires: None };
        server.store.create_key(key).await.expect("a key is kept");
    }
    // The server is open until it has read the keys.
    becomes(&server, 9, 401).await;
    server
}

#[tokio::test]
async fn a_bound_key_reaches_its_own_dialogs_and_no_others() {
    let server = bound().await;
    let refused = |answer: &Answer| match answer.status {
        403 if answer.problem() == "out-of-reach" => true,
        404 => answer.problem() == "not-found",
        _ => false,
    };
    for (number, within, beyond) in [
        (1, "/shop-anna/shop-anna-de", "/bank-anna/bank-anna-en"),
        (2, "/bank-anna/bank-anna-en", "/shop-anna/shop-anna-de"),
    ] {
        let ids = |place: &str| {
            let (customer, dialog) = place[1..].split_once('/').expect("both ids");
            (customer.to_owned(), dialog.to_owned())
        };
        for (place, is_within) in [(within, true), (beyond, false)] {
            let (customer, dialog) = ids(place);
            let language = &dialog[dialog.len() - 2..];
            let new = format!(r#"{{"text":"t","language":"{language}"}}"#);
            for (method, target, body, status) in [
                ("GET", format!("/data{place}"), "", 200),
                ("GET", format!("/consents/{dialog}"), "", 200),
                ("GET", format!("/consents/{dialog}/receipt"), "", 200),
                ("POST", format!("/data/{customer}/new-{number}-{dialog}"), &*new, 201),
                ("POST", format!("/consents/{dialog}"), "true", 200),
            ] {
                let answer = with(&server, number, method, &target, body).await;
                let done = answer.status == status;
                assert_eq!(done, is_within, "{number}: {method} {target}: {answer:?}");
                assert!(done || refused(&answer), "{number}: {method} {target}: {answer:?}");
            }
        }
        assert!(
            refused(&with(&server, number, "GET", "/stats", "").await),
            "the counts are of all dialogs"
        );
        assert_eq!(with(&server, number, "POST", "/consents/unknown", "false").await.status, 404);
    }
    let unread = with(&server, 1, "GET", "/data/bank-anna/bank-anna-pending", "").await;
    assert_eq!(unread.status, 404, "the answer does not even say that it is pending: {unread:?}");
    for (method, target) in [
        ("GET", "/customers/bank-anna/data"),
        ("DELETE", "/data/bank-anna/bank-anna-en"),
        ("DELETE", "/customers/bank-anna"),
    ] {
        assert!(refused(&with(&server, 1, method, target, "").await), "{method} {target}");
        let own = target.replace("bank", "shop");
        assert_eq!(with(&server, 1, method, &own, "").await.status, 200, "{method} {own}");
    }
    let standing = server.store.consent(&"bank-anna-en".parse().expect("an id")).await;
    assert_eq!(standing.expect("it is held").state, ConsentState::Granted);
    let gone = with(&server, 2, "POST", "/consents/shop-anna-de", "false").await;
    assert_eq!(gone.status, 200, "a withdrawn dialog has no customer and no language: {gone:?}");
}

#[tokio::test]
async fn a_bound_key_pages_through_its_own_dialogs_also_when_a_page_is_kept_ready() {
    let server = bound().await;
    for _ in 0..2 {
        for (number, target, ids) in [
            (1, "/data/?limit=1", &["shop-anna-de", "shop-anna-en"][..]),
            (1, "/data/?limit=1&language=de", &["shop-anna-de"]),
            (1, "/data/?limit=1&customerId=bank-anna", &[]),
            (2, "/data/?limit=1", &["bank-anna-en", "shop-anna-en"]),
            (2, "/data/?limit=1&language=de", &[]),
            (2, "/data/?limit=1&customerId=bank-anna", &["bank-anna-en"]),
        ] {
            let (mut met, mut next) = (Vec::new(), Some(target.to_owned()));
            while let Some(target) = next {
                let page = with(&server, number, "GET", &target, "").await.json();
                assert_eq!(page["total"], ids.len(), "{target}: {page}");
                let items = page["items"].as_array().expect("items").iter();
                met.extend(items.map(|it| it["dialog_id"].as_str().expect("an id").to_owned()));
                next = page["next"].as_str().map(str::to_owned);
            }
            assert_eq!(met, ids, "{number}: {target}");
        }
    }
    let first = with(&server, 1, "GET", "/data/?limit=1", "").await.json();
    let next = first["next"].as_str().expect("a next page");
    assert_eq!(
        with(&server, 2, "GET", next, "").await.status,
        400,
        "a cursor is valid only for its reach"
    );
    for (number, dialogs) in [(1, 2), (2, 2)] {
        let changes = with(&server, number, "GET", "/changes?dialogs=true", "").await.json();
        let events = changes["events"].as_array().expect("events");
        assert_eq!(events.len(), 4, "every key gets every event");
        assert_eq!(events.iter().filter(|event| event.get("dialog").is_some()).count(), dialogs);
    }
}

/// Decides on a dialog, with evidence that names it.
async fn decided(server: &Server, dialog: &str, consent: bool) {
    let evidence = dataapi_core::Evidence::parse(
        Some(format!("notice of {dialog}")),
        Some(format!("method of {dialog}")),
        Some(format!("locale of {dialog}")),
    );
    let decision = if consent { Decision::Granted } else { Decision::Withdrawn };
    let id = dialog.parse().expect("an id");
    let receipt = server.store.decide(id, decision, evidence.expect("evidence")).await;
    receipt.expect("a decision");
}

#[tokio::test]
async fn a_bound_key_sees_the_evidence_of_its_own_dialogs_alone_and_every_event_follows() {
    let server = bound().await;
    for dialog in ["shop-anna-pending", "bank-anna-pending"] {
        decided(&server, dialog, true).await;
    }
    decided(&server, "shop-anna-en", false).await;
    decided(&server, "bank-anna-de", false).await;
    let head = server.store.ledger_head().await.expect("a head");
    for target in ["/changes", "/changes?dialogs=true", "/v1/changes?limit=1000"] {
        let answer = with(&server, 1, "GET", target, "").await;
        for word in ["notice", "method", "locale"] {
            let own = format!("{word} of shop-anna-pending");
            assert_eq!(answer.text().matches(&own).count(), 1, "{target}: {answer:?}");
            assert_eq!(answer.text().matches(&format!("{word} of")).count(), 1, "{target}");
        }
        let changes: wire::Changes<'_> = serde_json::from_slice(&answer.body).expect("changes");
        let mut audit = Audit::new(Some(head.clone())).taking_hidden();
        for event in changes.events {
            audit.check(&event.into_domain().expect("a change").event).expect("it follows");
        }
        // The grant of the bank's dialog, and both withdrawals.
        assert_eq!(audit.hidden(), 3, "{target}");
        assert_eq!(audit.finish().expect("they lead to the head"), head);
    }
}

#[tokio::test]
async fn a_bound_key_gets_no_evidence_of_a_dialog_that_is_gone() {
    let server = bound().await;
    decided(&server, "bank-anna-pending", true).await;
    let foreign = with(&server, 1, "GET", "/consents/bank-anna-pending/receipt", "").await;
    assert_eq!(foreign.status, 404);
    decided(&server, "bank-anna-pending", false).await;
    let state = with(&server, 1, "GET", "/consents/bank-anna-pending", "").await.json();
    assert_eq!(state["consent"], "withdrawn");
    for (method, target, body) in [
        ("GET", "/consents/bank-anna-pending/receipt", ""),
        ("POST", "/consents/bank-anna-pending", "false"),
        ("POST", "/consents/bank-anna-pending", r#"{"consent":false,"notice":"a guess"}"#),
    ] {
        let answer = with(&server, 1, method, target, body).await;
        assert_eq!(answer.status, 200, "{method} {target}: {answer:?}");
        assert!(!answer.text().contains(" of bank"), "{method} {target}: {answer:?}");
        let receipt = answer.json();
        assert_eq!(receipt["evidence_hidden"], true, "{method} {target}: {receipt}");
        assert_eq!(receipt["ledger"]["kind"], "withdrawn");
        assert_eq!(receipt["ledger"]["hash"].as_str().map(str::len), Some(64));
    }
    assert_eq!(with(&server, 1, "POST", "/consents/bank-anna-pending", "true").await.status, 409);

    // A tenant's own withdrawal, sent again, gets its first receipt.
    let withdrawal = r#"{"consent":false,"notice":"v3","method":"button"}"#;
    let mut first = None;
    for _ in 0..2 {
        let answer = with(&server, 1, "POST", "/consents/shop-anna-de", withdrawal).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["notice"], "v3");
        assert!(answer.json().get("evidence_hidden").is_none());
        assert_eq!(first.get_or_insert_with(|| answer.text().to_owned()), answer.text());
    }
}

//! Keys: shown once, listed without the key itself, revoked permanently.

use crate::sandbox::Sandbox;
use crate::scenes::json_lines;

#[test]
fn a_key_is_shown_once_and_listed_without_it() {
    let sandbox = Sandbox::new();
    let create = ["key", "create", "--name", "bot", "--role", "ingest,consent", "--expires", "90d"];
    let key = sandbox.ok(&create);
    let digits = key.trim_end().strip_prefix("dataapi_").expect("a key");
    assert_eq!(digits.len(), 64, "{key}");
    assert_ne!(sandbox.ok(&["key", "create", "--name", "analyst", "--role", "read"]), key);
    sandbox.ok(&["key", "revoke", "analyst"]);
    let listed = sandbox.ok(&["key", "list"]);
    for words in ["bot", "ingest,consent", "works", "analyst", "revoked"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let lines = sandbox.ok(&["key", "list", "--json"]);
    let bot = &json_lines(&lines)[1];
    assert_eq!(bot["roles"], serde_json::json!(["ingest", "consent"]));
    assert!(bot["expires"].as_str() > bot["created"].as_str(), "{bot}");
    for shown in [&listed, &lines] {
        assert!(!shown.contains(&digits[..16]), "no part of a key");
    }
    let again = sandbox.run(&create);
    assert_eq!(again.code, Some(2), "a name is given once: {again:?}");
    let kept = sandbox.read("dialogs.db");
    assert!(!String::from_utf8_lossy(&kept).contains(digits), "only its hash is kept");
}

#[test]
fn a_key_is_listed_with_what_it_is_bound_to() {
    let sandbox = Sandbox::new();
    let create = ["key", "create", "--name", "shop", "--role", "read,ingest"];
    let bounds = ["--only-customers", "shop-", "--only-language", "EN", "--only-language", "pt-BR"];
    sandbox.ok(&[&create[..], &bounds].concat());
    sandbox.ok(&["key", "create", "--name", "all", "--role", "read"]);
    let lines = sandbox.ok(&["key", "list", "--json"]);
    let keys = json_lines(&lines);
    assert_eq!(keys[1]["only_customers"], "shop-");
    assert_eq!(keys[1]["only_languages"], serde_json::json!(["EN", "pt-BR"]));
    assert!(keys[0].get("only_customers").is_none() && keys[0].get("only_languages").is_none());
    let listed = sandbox.ok(&["key", "list"]);
    assert!(listed.contains("shop-…") && listed.contains("EN,pt-BR"), "{listed}");
}

#[test]
fn what_is_no_key_is_refused() {
    let sandbox = Sandbox::new();
    for args in [
        &["key", "create", "--name", "a b", "--role", "read"][..],
        &["key", "create", "--name", "", "--role", "read"],
        &["key", "create", "--name", "bot", "--role", "reed"],
        &["key", "create", "--name", "bot", "--role", ""],
        &["key", "create", "--name", "bot"],
        &["key", "create", "--name", "bot", "--role", "admin", "--only-customers", "shop-"],
        &["key", "create", "--name", "bot", "--role", "subject", "--only-language", "en"],
        &["key", "create", "--name", "bot", "--role", "read", "--only-language", "e"],
        &["key", "create", "--name", "bot", "--role", "read", "--only-customers", ""],
    ] {
        assert_eq!(sandbox.run(args).code, Some(2), "{args:?}");
    }
    assert_eq!(sandbox.run(&["key", "list"]).code, Some(1), "there is no store");
    sandbox.ok(&["key", "create", "--name", "bot", "--role", "read"]);
    let unknown = sandbox.run(&["key", "revoke", "robot"]);
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    sandbox.ok(&["key", "revoke", "bot"]);
    sandbox.ok(&["key", "revoke", "bot"]);
}

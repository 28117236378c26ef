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
fn a_key_for_the_metrics_alone_can_be_made_but_not_bound() {
    let sandbox = Sandbox::new();
    let create = ["key", "create", "--name", "prometheus", "--role", "metrics"];
    sandbox.ok(&create);
    let lines = sandbox.ok(&["key", "list", "--json"]);
    assert_eq!(json_lines(&lines)[0]["roles"], serde_json::json!(["metrics"]));
    for bounds in [["--only-customers", "shop-"], ["--only-language", "en"]] {
        let create = ["key", "create", "--name", "bound", "--role", "metrics"];
        let bound = sandbox.run(&[&create[..], &bounds].concat());
        assert_eq!(bound.code, Some(2), "it would count what is outside the bounds: {bound:?}");
    }
}

/// The checksum of the row of a key without bounds and dates, as a later version writes it.
fn checksum(name: &str, roles: u8, hash: [u8; 32]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [name.as_bytes(), &[0, 0], &[roles], &hash, &0_i64.to_be_bytes()] {
        hasher.update(part);
    }
    (0..3).for_each(|_| hasher.update(&i64::MIN.to_be_bytes()));
    hasher.finalize()
}

#[test]
fn a_key_with_a_role_of_a_later_version_is_listed_as_such_and_kept_in_a_copy() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["key", "create", "--name", "known", "--role", "read"]);
    let (roles, hash) = (1_u8 << 6 | 1, [9; 32]);
    rusqlite::Connection::open(sandbox.path().join("dialogs.db"))
        .expect("opens")
        .execute(
            "INSERT INTO api_key (name, roles, hash, created, checksum) VALUES ('later', ?1, ?2, 0, ?3)",
            (roles, hash, checksum("later", roles, hash)),
        )
        .expect("a row");
    sandbox.ok(&["copy", "--to", "sqlite:copy.db"]);
    sandbox.ok(&["backup", "monday.backup"]);
    for store in ["sqlite:dialogs.db", "sqlite:copy.db", "sqlite:monday.backup"] {
        let lines = sandbox.ok(&["--store", store, "key", "list", "--json"]);
        let keys = json_lines(&lines);
        assert_eq!(keys[0]["state"] == "works", store != "sqlite:monday.backup", "{store}");
        let later = &keys[1];
        assert_eq!(later["roles"], serde_json::json!(["ingest", "unknown"]), "{store}: {later}");
        assert!(
            later["state"] == "unknown role" || later["state"] == "revoked",
            "{store}: {later}"
        );
    }
    let listed = sandbox.ok(&["key", "list"]);
    assert!(listed.contains("ingest,unknown") && listed.contains("unknown role"), "{listed}");
    assert!(sandbox.ok(&["check"]).starts_with("no damage found"));
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

//! A customer's rights: a copy of everything stored about them, and its erasure.

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::scenes::{dialog_line, imported, pending_line};

fn filled() -> Sandbox {
    let of_another =
        dialog_line("other", "t").replace(r#""customer_id":"c""#, r#""customer_id":"d""#);
    let pending = pending_line("pending", "told \u{202e}🙂\n");
    let sandbox = imported(
        [dialog_line("yes", "told"), dialog_line("no", "told"), pending, of_another].concat(),
    );
    sandbox.ok(&["consent", "withdraw", "no"]);
    sandbox
}

#[test]
fn an_export_holds_everything_that_is_held_and_nothing_else() {
    let sandbox = filled();
    let document: Value =
        serde_json::from_str(&sandbox.ok(&["subject", "export", "c"])).expect("one JSON document");
    assert_eq!(document["customer_id"], "c");
    assert!(document["exported"].as_str().is_some_and(|date| date.ends_with('Z')));
    let dialogs = document["dialogs"].as_array().expect("dialogs");
    let states: Vec<_> = dialogs
        .iter()
        .map(|dialog| (dialog["dialog_id"].as_str(), dialog["consent"].as_str()))
        .collect();
    assert_eq!(
        states,
        [(Some("yes"), Some("granted")), (Some("pending"), Some("pending"))],
        "newest first, equal dates by id"
    );
    assert_eq!(dialogs[1]["text"], "told \u{202e}🙂\n");
    assert_eq!(dialogs[1].get("receipt"), None);
    let receipt = &dialogs[0]["receipt"];
    assert_eq!((&receipt["method"], &receipt["position"]), (&"import".into(), &1.into()));
    assert_eq!(receipt["hash"].as_str().map(str::len), Some(64));

    sandbox.ok(&["subject", "export", "c", "-o", "c.json"]);
    let written: Value = serde_json::from_slice(&sandbox.read("c.json")).expect("JSON");
    assert_eq!(written["dialogs"], document["dialogs"]);
    let nobody: Value =
        serde_json::from_str(&sandbox.ok(&["subject", "export", "nobody"])).expect("JSON");
    assert_eq!(nobody["dialogs"], serde_json::json!([]));
}

#[test]
fn an_erasure_can_be_tried_dry() {
    let sandbox = filled();
    for command in [["subject", "erase", "c"], ["erase", "customer", "c"]] {
        assert_eq!(sandbox.ok(&[&command[..], &["--dry-run"]].concat()), "2 would be erased\n");
    }
    assert!(sandbox.ok(&["consent", "show", "pending"]).contains("pending"));
    assert_eq!(sandbox.ok(&["subject", "erase", "c"]), "2 erased\n");
    assert_eq!(sandbox.ok(&["subject", "erase", "c", "--dry-run"]), "0 would be erased\n");
    assert_eq!(sandbox.run(&["verify-erasure", "told"]).code, Some(0));
    sandbox.ok(&["get", "d", "other"]);
}

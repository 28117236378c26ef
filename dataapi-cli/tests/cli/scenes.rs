//! Prepared stores for tests, and the lines that fill them.

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A JSON line with a consented dialog of customer `c`.
pub(crate) fn dialog_line(id: &str, text: &str) -> String {
    let line = serde_json::json!({
        "dialog_id": id, "customer_id": "c", "text": text, "language": "en",
        "consent_received": true, "date": "2026-03-01T10:00:00.000000Z",
    });
    format!("{line}\n")
}

/// A JSON line with a pending dialog of customer `c`.
pub(crate) fn pending_line(id: &str, text: &str) -> String {
    dialog_line(id, text).replace(r#""consent_received":true"#, r#""consent_received":false"#)
}

/// A store with the imported `lines`, which are in `in.jsonl` beside it.
pub(crate) fn imported(lines: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", lines);
    sandbox.ok(&["import", "in.jsonl"]);
    sandbox
}

/// A store of `count` consented dialogs: `d-0` with the text `words 0`, and so on.
pub(crate) fn numbered(count: usize) -> Sandbox {
    let lines = (0..count).map(|n| dialog_line(&format!("d-{n}"), &format!("words {n}")));
    imported(lines.collect::<String>())
}

/// Withdraws `d-1` and erases `d-2`.
pub(crate) fn withdraw_and_erase(sandbox: &Sandbox) {
    sandbox.ok(&["consent", "withdraw", "d-1", "--notice", "v3"]);
    sandbox.ok(&["erase", "dialog", "c", "d-2"]);
}

/// Parses JSON Lines.
pub(crate) fn json_lines(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

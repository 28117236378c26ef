//! A whole store copied by hand, and what is refused.

use crate::sandbox::Sandbox;
use crate::scenes::{numbered, withdraw_and_erase};

/// A store with dialogs in every state, and a key.
fn filled() -> Sandbox {
    let sandbox = numbered(6);
    sandbox.ok(&["generate", "--users", "2", "--dialogs", "3", "--consented", "0"]);
    withdraw_and_erase(&sandbox);
    sandbox.ok(&["key", "create", "--name", "reader", "--role", "read"]);
    sandbox
}

const NEW: [&str; 2] = ["--store", "sqlite:new.db"];

#[test]
fn all_of_a_store_is_in_the_copy() {
    let sandbox = filled();
    let head = sandbox.ok(&["audit", "head"]);
    let said = sandbox.ok(&["copy", "--to", "sqlite:new.db"]);
    let expected = format!(
        "copied and verified: 4 consented and 3 pending dialogs, 2 tombstones, 1 key, 8 events: {head}"
    );
    assert_eq!(said, expected);
    for command in
        [&["export"][..], &["stats", "--json"], &["audit", "export"], &["key", "list"], &["check"]]
    {
        assert_eq!(sandbox.ok(&[&NEW[..], command].concat()), sandbox.ok(command), "{command:?}");
    }
    sandbox.ok(&[&NEW[..], &["audit", "verify", "--head", head.trim_end()]].concat());
    let again = sandbox.run(&[&NEW[..], &["consent", "grant", "d-1"]].concat());
    assert_eq!(again.code, Some(4), "what was withdrawn stays so: {again:?}");
    sandbox.ok(&[&NEW[..], &["consent", "withdraw", "d-3"]].concat());
    sandbox.ok(&[&NEW[..], &["audit", "verify", "--head", head.trim_end()]].concat());
}

#[test]
fn a_copy_warns_that_the_old_store_still_holds_all_of_it() {
    let sandbox = filled();
    let copied = sandbox.run(&["copy", "--from", "sqlite:dialogs.db", "--to", "sqlite:new.db"]);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    assert!(copied.err.contains("sqlite:dialogs.db still holds all of this data"), "{copied:?}");
}

#[test]
fn a_store_that_is_there_is_not_copied_over() {
    let sandbox = filled();
    sandbox.ok(&["copy", "--to", "sqlite:new.db"]);
    let before = sandbox.ok(&[&NEW[..], &["audit", "head"]].concat());
    for to in ["sqlite:new.db", "sqlite:dialogs.db"] {
        let refused = sandbox.run(&["copy", "--to", to]);
        assert_eq!(refused.code, Some(4), "{refused:?}");
        assert!(refused.err.contains("already"), "{refused:?}");
    }
    assert_eq!(sandbox.ok(&[&NEW[..], &["audit", "head"]].concat()), before);
}

#[test]
fn what_is_no_store_is_told() {
    let sandbox = filled();
    for (args, code) in [
        (["--from", "sqlite:missing.db", "--to", "sqlite:new.db"], 1),
        (["--from", "memory:", "--to", "sqlite:new.db"], 2),
        (["--from", "sqlite:dialogs.db", "--to", "nowhere"], 2),
    ] {
        let refused = sandbox.run(&[&["copy"][..], &args].concat());
        assert_eq!(refused.code, Some(code), "{args:?}: {refused:?}");
        assert!(!sandbox.files().contains(&"new.db".to_owned()), "{args:?}");
    }
}

//! The program answers as its description says, whatever Schemathesis sends.
//!
//! `./check` installs Schemathesis and runs these tests; `./check --long` gives them more time.

#[path = "../support/program.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod program;

use std::path::Path;
use std::process::Command;

use dataapi::{Decision, Evidence, KeySecret, NewDialog, NewKey, Roles};
use program::{Program, store_in};
use tempfile::TempDir;

#[test]
#[ignore = "needs Schemathesis on the path"]
fn without_keys_no_answer_is_one_that_the_description_does_not_allow() {
    let scene = Scene::new();
    // Without keys in the store, no request needs one.
    let open =
        ["--exclude-checks", "ignored_auth", "--generation-with-security-parameters", "false"];
    scene.look("no keys", &open);
}

#[test]
#[ignore = "needs Schemathesis on the path"]
fn with_keys_no_answer_is_one_that_the_description_does_not_allow() {
    let scene = Scene::new();
    let admin = scene.key("admin");
    let ingest = scene.key("ingest");
    scene.look("a key for everything", &["--header", &admin]);
    // Most requests are refused, which Schemathesis would warn of.
    scene.look("a key that may only store dialogs", &["--header", &ingest, "--warnings", "off"]);
}

/// A store with a dialog in every state, as `schemathesis.toml` names them.
struct Scene {
    folder: TempDir,
    store: String,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(folder.path());
        let scene = Self { folder, store };
        scene.fill();
        scene
    }

    #[tokio::main(flavor = "current_thread")]
    async fn fill(&self) {
        let store = dataapi::open(&self.store).await.expect("a store");
        let decisions = (1..=8)
            .map(|number| (format!("d-{number}"), Some(Decision::Granted)))
            .chain([("pending".to_owned(), None), ("erased".to_owned(), None)])
            .chain([("withdrawn".to_owned(), Some(Decision::Withdrawn))]);
        for (id, decision) in decisions {
            let dialog = NewDialog::parse("anna", &id, "en", "Where is my parcel?");
            store.insert(dialog.expect("a dialog")).await.expect("it is stored");
            if let Some(decision) = decision {
                let id = id.parse().expect("an id");
                store.decide(id, decision, Evidence::default()).await.expect("it is decided");
            }
        }
        let (anna, erased) = ("anna".parse().expect("an id"), "erased".parse().expect("an id"));
        store.erase_dialog(&anna, &erased).await.expect("it is erased");
    }

    /// Creates a key with this role and returns its header.
    #[tokio::main(flavor = "current_thread")]
    async fn key(&self, role: &str) -> String {
        let store = dataapi::open(&self.store).await.expect("a store");
        let secret = KeySecret::from_bytes([role.as_bytes()[0]; 32]);
        let key = NewKey {
            name: role.parse().expect("a name"),
            grant: role.parse::<Roles>().expect("a role").into(),
            hash: secret.hash(),
            expires: None,
        };
        store.create_key(key).await.expect("a key");
        format!("Authorization: Bearer {secret}")
    }

    /// Runs Schemathesis, which looks for answers that the description does not allow.
    fn look(&self, what: &str, options: &[&str]) {
        let program = Program::start(&self.store, &[]);
        let sources = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis"));
        let mut schemathesis = Command::new("schemathesis");
        // Schemathesis leaves files in its working directory.
        schemathesis.current_dir(self.folder.path());
        schemathesis.env("SCHEMATHESIS_HOOKS", sources.join("hooks.py"));
        schemathesis.env("PYTHONDONTWRITEBYTECODE", "1");
        schemathesis.arg("--config-file").arg(sources.join("schemathesis.toml"));
        schemathesis.args(["run", &program.url("/openapi.json"), "--wait-for-schema", "60"]);
        match std::env::var("DATAAPI_FUZZ_SECONDS") {
            // Schemathesis prints the seed that it draws. After a while all stored dialogs are erased, which it would
            // warn of.
            Ok(seconds) => schemathesis.args(["--max-time", &seconds, "--warnings", "off"]),
            Err(_) => schemathesis.args(["--max-examples", "50", "--seed", "1"]),
        };
        let status = schemathesis.args(options).status().expect("Schemathesis is on the path");
        assert!(status.success(), "with {what}: see what Schemathesis printed");
    }
}

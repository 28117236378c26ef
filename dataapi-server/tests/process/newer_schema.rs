//! A store that a newer version wrote: the program refuses it in one line and changes no byte.

use crate::program::{Program, contents, output, store_in};

/// The offsets of the format's versions, from section 1.3 of SQLite's file format.
const VERSIONS_OF_FORMAT: std::ops::Range<usize> = 18..20;
const USER_VERSION: std::ops::Range<usize> = 60..64;

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    // A newer version might use another journal mode, too.
    for format in [2, 1] {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store_in(folder.path());
        let mut program = Program::start(&store, &[]);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let dialog = r#"{"text":"t","language":"en"}"#;
        let answer = client.post(program.url("/data/anna/d")).body(dialog).send().await;
        assert_eq!(answer.expect("an answer").status(), 201);
        program.signal("TERM");
        assert!(program.ended().0.success());

        let file = folder.path().join("dialogs.db");
        let mut bytes = std::fs::read(&file).expect("the store");
        bytes[VERSIONS_OF_FORMAT].fill(format);
        bytes[USER_VERSION].copy_from_slice(&1_000_u32.to_be_bytes());
        std::fs::write(&file, bytes).expect("a newer store");
        let before = contents(folder.path());
        assert_eq!(before.len(), 1, "a closed store is one file");
        let refused = output(&["--listen", "127.0.0.1:0", "--store", &store]);
        assert_eq!(refused.status.code(), Some(1));
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("written by a newer version of DataAPI"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        let after = contents(folder.path());
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert!(after == before, "a file has changed, format {format}");
    }
}

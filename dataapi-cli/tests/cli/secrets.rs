//! Secrets come from files as well, and never reach a message.

use crate::sandbox::Sandbox;

#[test]
fn the_url_of_a_store_can_be_in_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("url", "sqlite:there.db\n");
    sandbox.ok(&["--store-file", "url", "generate", "-d", "1"]);
    assert_eq!(sandbox.files(), ["there.db", "url"]);
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut program = sandbox.program(args);
        let ran = program.envs(variables.iter().copied()).output().expect("runs");
        (ran.status.code(), String::from_utf8(ran.stderr).expect("UTF-8"))
    };
    let by_file = ("DATAAPI_STORE_FILE", "url");
    let by_variable = ("DATAAPI_STORE", "sqlite:none.db");
    assert_eq!(run(&["stats"], &[by_file]).0, Some(0));
    // A flag comes before a variable, whichever of the two it is.
    assert_eq!(run(&["stats", "--store-file", "url"], &[by_variable]).0, Some(0));
    assert_eq!(run(&["stats", "--store", "sqlite:none.db"], &[by_file]).0, Some(1));
    for (args, variables) in [
        (&["stats"][..], &[by_file, by_variable][..]),
        (&["stats", "--store", "sqlite:there.db", "--store-file", "url"], &[]),
    ] {
        let (code, error) = run(args, variables);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("--store-file and the secret itself were both given"), "{error}");
    }
    let (code, error) = run(&["stats", "--store-file", "gone"], &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("the secret in the file of --store-file cannot be read"), "{error}");
    sandbox.write("two", "sqlite:PW\nsqlite:PW\n");
    let (code, error) = run(&["stats", "--store-file", "two"], &[]);
    assert_eq!(code, Some(1));
    assert!(error.contains("more than one line") && !error.contains("PW"), "{error}");
}

#[test]
fn both_urls_of_a_copy_can_be_in_files() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["--store", "sqlite:old.db", "generate", "-d", "1", "-c", "1"]);
    sandbox.write("old", "sqlite:old.db");
    sandbox.write("new", "sqlite:new.db\n");
    let told = sandbox.ok(&["copy", "--from-file", "old", "--to-file", "new"]);
    let counts =
        "copied and verified: 1 consented and 0 pending dialogs, 0 tombstones, 0 keys, 1 event: ";
    assert!(told.starts_with(counts), "{told}");
    assert!(sandbox.files().contains(&"new.db".to_owned()));
    assert_eq!(sandbox.run(&["copy", "--from-file", "old"]).code, Some(2));
}

#[test]
fn no_password_in_a_url_reaches_a_message_however_it_is_mistyped() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["--store", "sqlite:there.db", "generate", "-d", "1"]);
    let urls = [
        "postgre://u:PW@h/d",
        "Postgres://u:PW@h/d",
        "postgresql+psycopg://u:PW@h/d",
        "jdbc:postgresql://h/d?user=u&password=PW",
        "postgres:u:PW@h/d",
        "u:PW@h/d",
        "sqlite:postgres://u:PW@h/d",
        "sqlite:u:PW@h/d",
        "sqlite:x.db?password=PW",
        "host=h user=u password=PW dbname=d",
        "postgres://u:PW@h:x/d",
        "postgres://u:P/W:PW@127.0.0.1:1/d",
        "http://u:PW@h/",
    ];
    for url in urls {
        for args in [
            &["--store", url, "stats"][..],
            &["--store", url, "doctor"],
            &["--store", url, "doctor", "--json"],
            &["--store", url, "check"],
            &["--store", url, "migrate"],
            &["--store", url, "backup", "b"],
            &["sync", "none.jsonl", "--from", url],
            &["copy", "--from", url, "--to", "sqlite:new.db"],
            &["--store", "sqlite:there.db", "copy", "--to", url],
            &[url],
            &["stats", url],
            &["query", "--limit", url],
            &["purge", "--pending-after", url],
        ] {
            let ran = sandbox.run(args);
            assert_ne!(ran.code, Some(0), "{args:?}: {ran:?}");
            assert!(!ran.out.contains("PW") && !ran.err.contains("PW"), "{args:?}: {ran:?}");
        }
    }
}

#[test]
fn what_another_program_would_write_is_refused_with_the_right_spelling() {
    let sandbox = Sandbox::new();
    for (written, right) in [
        ("sqlite::memory:", "write 'memory:'"),
        ("sqlite:x.db?mode=rwc", "write 'sqlite:x.db'"),
        ("sqlite:a%20b.db", "write 'sqlite:a b.db'"),
        ("sqlite:file:x.db", "write 'sqlite:x.db'"),
        ("sqlite3:x.db", "write 'sqlite:x.db'"),
        ("jdbc:sqlite:x.db", "write 'sqlite:x.db'"),
        ("SQLITE:x.db", "write 'sqlite:x.db'"),
        ("x.db", "write 'sqlite:x.db'"),
        ("POSTGRES://u@h/d", "write 'postgres://USER@HOST/DATABASE'"),
    ] {
        let ran = sandbox.run(&["--store", written, "generate", "-d", "1"]);
        assert_eq!(ran.code, Some(2), "{written}: {ran:?}");
        assert!(ran.err.contains(right), "{written}: {ran:?}");
        assert_eq!(sandbox.files(), Vec::<String>::new(), "{written}");
    }
}

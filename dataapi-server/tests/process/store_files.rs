//! Which files the program opens as a store, and what it says about those that others may use.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::program::{Program, command, contents, output, store_in};

fn mode(path: &Path) -> u32 {
    path.metadata().expect("a file").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

/// Makes a store in `folder` and returns its URL.
fn make_store(folder: &Path) -> String {
    let store = store_in(folder);
    let mut program = Program::start(&store, &[]);
    program.signal("TERM");
    assert!(program.ended().0.success());
    store
}

#[test]
fn a_device_and_a_folder_are_no_store_and_are_left_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let (device, link) = (Path::new("/dev/null"), folder.path().join("link"));
    symlink(device, &link).expect("a link");
    let before = (mode(device), mode(folder.path()));
    for path in [device, &link, folder.path()] {
        let store = format!("sqlite:{}", path.display());
        let refused = output(&["--listen", "127.0.0.1:0", "--store", &store]);
        assert_eq!(refused.status.code(), Some(1), "{store}");
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(error.contains("leads to a folder, a device or a pipe"), "{error}");
    }
    assert_eq!((mode(device), mode(folder.path())), before);
}

#[test]
fn a_store_that_others_may_read_is_served_with_a_warning_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = make_store(folder.path());
    let file = folder.path().join("dialogs.db");
    let log = |store: &str| {
        let mut program = Program::start(store, &[]);
        program.signal("TERM");
        program.ended().2
    };
    assert!(!log(&store).contains("chmod"), "a store of its own is nothing to warn of");
    set_mode(&file, 0o640);
    let warned = log(&store);
    assert!(warned.contains("WARN") && warned.contains("has the mode 0640"), "{warned}");
    assert!(warned.contains("chmod 600"), "{warned}");
    assert_eq!(mode(&file), 0o640, "the mode is the operator's");
}

#[test]
fn a_store_with_a_foreign_trigger_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = make_store(folder.path());
    let database =
        rusqlite::Connection::open(folder.path().join("dialogs.db")).expect("a database");
    let copying = "CREATE TABLE copies (text); CREATE TRIGGER spy AFTER INSERT ON dialog
        BEGIN INSERT INTO copies VALUES (NEW.text); END";
    database.execute_batch(copying).expect("a trigger");
    drop(database);
    let before = contents(folder.path());
    let refused = output(&["--listen", "127.0.0.1:0", "--store", &store]);
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("has a trigger that DataAPI did not make"), "{error}");
    assert!(contents(folder.path()) == before, "a file has changed");
}

#[test]
fn a_store_with_a_foreign_table_is_served_with_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = make_store(folder.path());
    let database =
        rusqlite::Connection::open(folder.path().join("dialogs.db")).expect("a database");
    database.execute_batch("CREATE TABLE marker (text)").expect("a table");
    drop(database);
    let mut program = Program::start(&store, &[]);
    program.signal("TERM");
    let log = program.ended().2;
    assert!(log.contains("WARN") && log.contains("a table that DataAPI did not make"), "{log}");
    assert!(!log.contains("marker"), "anyone can have chosen the name: {log}");
}

#[test]
fn the_url_of_a_store_can_be_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}\n", store_in(folder.path()))).expect("a file");
    let file = file.to_str().expect("UTF-8");
    for mut server in [
        command(&["--listen", "127.0.0.1:0", "--store-file", file]),
        // A flag comes before a variable.
        {
            let mut server = command(&["--listen", "127.0.0.1:0", "--store-file", file]);
            server.env("DATAAPI_STORE", "nonsense:");
            server
        },
        {
            let mut server = command(&["--listen", "127.0.0.1:0"]);
            server.env("DATAAPI_STORE_FILE", file);
            server
        },
    ] {
        let program = Program::spawn(&mut server);
        assert!(program.start_line.contains("dialogs.db"), "{}", program.start_line);
    }
    let both = output(&["--store", "memory:", "--store-file", file]);
    assert_eq!(both.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&both.stderr).contains("both given"), "{both:?}");
    let mut replicas = command(&["--listen", "127.0.0.1:0", "--store", "memory:"]);
    replicas.env("DATAAPI_READ_REPLICA_FILE", "/nowhere");
    let unreadable = replicas.output().expect("the program runs");
    assert_eq!(unreadable.status.code(), Some(1));
    let error = String::from_utf8_lossy(&unreadable.stderr).into_owned();
    assert!(error.contains("the file of --read-replica-file cannot be read"), "{error}");
}

#[test]
fn no_password_in_a_url_reaches_a_message_however_it_is_mistyped() {
    for url in [
        "postgre://u:PW@h/d",
        "Postgres://u:PW@h/d",
        "jdbc:postgresql://h/d?user=u&password=PW",
        "u:PW@h/d",
        "sqlite:postgres://u:PW@h/d",
        "sqlite:u:PW@h/d",
        "sqlite:x.db?password=PW",
        "host=h user=u password=PW dbname=d",
        "postgres://u:PW@h:x/d",
        "postgres://u:P/W:PW@127.0.0.1:1/d",
        "http://u:PW@h/keys",
        "-postgres://u:PW@h/d",
        "--postgres://u:PW@h/d",
    ] {
        for args in [
            &["--listen", "127.0.0.1:0", "--store", url][..],
            &["--listen", "127.0.0.1:0", "--log", "trace", "--store", url],
            &["--store", "x:", url],
            &["--store", "x:", "--listen", url],
            &["--jwt-keys", url, "--jwt-issuer", "i", "--jwt-audience", "a", "--store", "x:"],
            &["--store", "x:", "--cors-origin", url],
            &["--store", "x:", "--max-rate", url],
            &["--store", "x:", "--log", url],
            &["--store", "memory:", "--access-log", "/nowhere/at/all", url],
        ] {
            let refused = output(args);
            assert!(!refused.status.success(), "{args:?}");
            for said in [&refused.stdout, &refused.stderr] {
                let said = String::from_utf8_lossy(said);
                assert!(!said.contains("PW"), "{args:?}: {said}");
            }
        }
    }
}

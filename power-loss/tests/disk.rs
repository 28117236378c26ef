//! The disk through the kernel: other processes write to it, and what is left is what they have synced.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use power_loss::{Disk, Failure, How, Ignored, Image, Loss, What, may_mount_disk};
use rusqlite::Connection;

/// The folder, in a process that uses the disk.
const FOLDER: &str = "POWER_LOSS_FOLDER";

/// What it does there.
const PART: &str = "POWER_LOSS_PART";

fn sh(disk: &Disk, script: &str) -> Output {
    Command::new("sh").args(["-ec", script]).current_dir(disk.path()).output().expect("a shell")
}

fn works(disk: &Disk, script: &str) {
    let output = sh(disk, script);
    assert!(output.status.success(), "{script}: {output:?}");
}

/// Runs a part of [`another_process`] in another process.
fn run(disk: &Disk, part: &str) -> Output {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "another_process", "--ignored", "--nocapture"])
        .env(FOLDER, disk.path())
        .env(PART, part)
        .output()
        .expect("another process")
}

fn names(image: &Image) -> Vec<&str> {
    image.names().map(|name| name.to_str().expect("ASCII")).collect()
}

#[test]
fn names_and_bytes_are_left_if_they_were_synced() {
    if !may_mount_disk("names_and_bytes_are_left_if_they_were_synced") {
        return;
    }
    let disk = Disk::mount().expect("a disk");
    works(&disk, "printf one >a; test $(cat a) = one; sync a");
    assert_eq!(names(&disk.survivors(Loss::All, 0)), [""; 0], "its name is not synced");
    works(&disk, "sync .; printf two >>a; mv a b; printf three >c; ls | tr '\\n' ' ' >d");
    let image = disk.survivors(Loss::All, 0);
    assert_eq!(names(&image), ["a"]);
    assert_eq!(image.file("a"), Some(&b"one"[..]));
    works(&disk, "sync .; sync b; rm c");
    let image = disk.survivors(Loss::All, 0);
    assert_eq!(names(&image), ["b", "c", "d"]);
    assert_eq!(image.file("b"), Some(&b"onetwo"[..]));
    assert_eq!(image.file("d"), Some(&b""[..]));

    // This program syncs the file.
    works(&disk, "cp d e; fallocate --zero-range --keep-size --length 3 e; sync .");
    assert_eq!(disk.survivors(Loss::All, 0).file("e"), Some(&b"\0\0\0 d "[..]));
    works(&disk, "sync d; printf xyz | dd of=d conv=notrunc status=none; test $(cat b) = onetwo");
    let left: BTreeSet<Vec<u8>> = (0..50)
        .map(|seed| disk.survivors(Loss::Sectors, seed).file("d").expect("d").to_vec())
        .collect();
    assert_eq!(left, BTreeSet::from([b"b c d ".to_vec(), b"xyz d ".to_vec()]));
    let folder = tempfile::tempdir().expect("a folder");
    image.write_to(folder.path()).expect("files");
    assert_eq!(std::fs::read(folder.path().join("b")).expect("b"), b"onetwo");

    works(&disk, "sync b; truncate --size 2 b; sync b; truncate --size 4 b; sync b");
    assert_eq!(disk.survivors(Loss::All, 0).file("b"), Some(&b"on\0\0"[..]));
}

#[test]
fn writes_and_syncs_fail_as_often_as_they_should() {
    if !may_mount_disk("writes_and_syncs_fail_as_often_as_they_should") {
        return;
    }
    let disk = Disk::mount().expect("a disk");
    let told = |output: Output| String::from_utf8_lossy(&output.stderr).into_owned();
    works(&disk, "printf 0123456789 >a; sync a .");
    disk.fail(Failure { what: What::Writes, after: 1, times: 1, how: How::Full });
    works(&disk, "printf x >b");
    assert!(told(sh(&disk, "printf y | dd of=c")).contains("No space left"));
    assert!(disk.has_failed());
    works(&disk, "printf z >c; test $(cat c) = z");

    disk.fail(Failure { what: What::Syncs, after: 0, times: 1, how: How::Broken });
    assert!(!disk.has_failed());
    assert!(told(sh(&disk, "printf abc >a; sync a")).contains("Input/output error"));
    works(&disk, "sync a; test $(cat a) = abc");
    let image = disk.survivors(Loss::All, 0);
    assert_eq!(image.file("a"), Some(&b"0123456789"[..]), "it is never made up for");

    disk.fail(Failure { what: What::Writes, after: 0, times: 9, how: How::Short });
    works(
        &disk,
        "dd if=/dev/zero of=d bs=64 count=1 status=none || true; test $(stat -c %s d) -lt 64",
    );
    disk.heal();
    works(&disk, "printf new >e; test $(cat e) = new; sync e .");
    disk.ignore_syncs(Ignored::Files);
    works(&disk, "printf newer >e; sync e");
    assert_eq!(disk.survivors(Loss::All, 0).file("e"), Some(&b"new"[..]));
    disk.cut_power(Loss::All, 0);
    assert!(told(sh(&disk, "cat e")).contains("Input/output error"));
}

#[test]
fn sqlite_with_shared_memory_keeps_what_it_committed_at_every_moment() {
    if !may_mount_disk("sqlite_with_shared_memory_keeps_what_it_committed_at_every_moment") {
        return;
    }
    let disk = Disk::mount().expect("a disk");
    let images = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&images);
    let mut seed = 0;
    disk.before_each_change(move |moment| {
        let loss = [Loss::All, Loss::Pages, Loss::Sectors][seed % 3];
        kept.lock().expect("it").push(moment.survivors(loss, seed as u64));
        seed += 1;
    });
    let output = run(&disk, "sqlite");
    assert!(output.status.success(), "{output:?}");
    disk.call_no_more();
    let images = std::mem::take(&mut *images.lock().expect("it"));
    let mut rows = 0;
    for image in &images {
        let folder = tempfile::tempdir().expect("a folder");
        image.write_to(folder.path()).expect("files");
        let found = count(&folder.path().join("it.db")).unwrap_or(0);
        assert!(found == rows || found == rows + 1, "{found} after {rows}");
        rows = rows.max(found);
    }
    assert!(images.len() > 50, "{}", images.len());
    let folder = tempfile::tempdir().expect("a folder");
    disk.cut_power(Loss::All, 0).write_to(folder.path()).expect("files");
    assert_eq!(count(&folder.path().join("it.db")), Ok(20));
}

fn count(path: &Path) -> rusqlite::Result<i64> {
    Connection::open(path)?.query_row("SELECT count(*) FROM numbers", (), |row| row.get(0))
}

#[test]
fn locks_hold_between_processes() {
    if !may_mount_disk("locks_hold_between_processes") {
        return;
    }
    let disk = Disk::mount().expect("a disk");
    let output = run(&disk, "locks");
    assert!(output.status.success(), "{output:?}");
}

#[test]
#[ignore = "a part of the other tests, for a process that uses their disk"]
fn another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let path = Path::new(&folder).join("it.db");
    let open = || {
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        connection
    };
    match std::env::var(PART).unwrap().as_str() {
        "sqlite" => {
            let (writer, reader) = (open(), open());
            writer.execute_batch("CREATE TABLE numbers (number INTEGER)").unwrap();
            for number in 1..=20 {
                writer.execute("INSERT INTO numbers VALUES (?1)", [number]).unwrap();
                let seen: i64 =
                    reader.query_row("SELECT count(*) FROM numbers", (), |row| row.get(0)).unwrap();
                assert_eq!(seen, number);
                if number == 10 {
                    writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
                }
            }
        }
        "locks" => {
            let held = open();
            held.execute_batch("CREATE TABLE numbers (number INTEGER); BEGIN IMMEDIATE").unwrap();
            let refused = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "another_process", "--ignored", "--nocapture"])
                .env(PART, "write")
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&refused.stderr).into_owned()
                + &String::from_utf8_lossy(&refused.stdout);
            assert!(told.contains("database is locked"), "{told}");
            held.execute_batch("COMMIT").unwrap();
        }
        "write" => {
            let refused = Connection::open(&path).unwrap();
            refused.busy_timeout(std::time::Duration::ZERO).unwrap();
            refused.execute("INSERT INTO numbers VALUES (1)", ()).unwrap();
        }
        other => panic!("{other}"),
    }
}

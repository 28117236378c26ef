//! A program is built with what its stores need and nothing else.

mod cargo;

use std::collections::BTreeSet;

use crate::cargo::cargo;

/// The PostgreSQL client and its TLS library.
const POSTGRES: [&str; 5] =
    ["dataapi-postgres", "tokio-postgres", "rustls", "aws-lc-rs", "aws-lc-sys"];
const SQLITE: [&str; 3] = ["dataapi-sqlite", "rusqlite", "libsqlite3-sys"];

/// The packages that `dataapi` is built from with these features; `None` if Cargo is not available.
fn packages(features: &str) -> Option<BTreeSet<String>> {
    let of = ["--package", "dataapi", "--no-default-features", "--features", features];
    let told = cargo("tree", &[&["--edges", "normal", "--prefix", "none"][..], &of].concat())?;
    let names = told.lines().filter_map(|line| line.split(' ').next());
    Some(names.map(str::to_owned).collect())
}

fn check(features: &str, there: &[&[&str]], missing: &[&[&str]]) {
    let Some(packages) = packages(features) else { return };
    assert!(packages.contains("dataapi-core"), "{packages:?}");
    for package in there.concat() {
        assert!(packages.contains(package), "{package} must be there with '{features}'");
    }
    for package in missing.concat() {
        assert!(!packages.contains(package), "{package} must not be there with '{features}'");
    }
}

#[test]
fn sqlite_alone_has_no_client_of_postgresql_and_no_tls() {
    check("sqlite", &[&SQLITE], &[&POSTGRES]);
    check("default", &[&SQLITE], &[&POSTGRES]);
}

#[test]
fn postgresql_alone_has_no_sqlite() {
    check("postgres", &[&POSTGRES], &[&SQLITE]);
}

#[test]
fn both_are_there_when_both_are_asked_for() {
    check("sqlite,postgres", &[&SQLITE, &POSTGRES], &[]);
}

#[test]
fn memory_is_always_there_and_needs_neither() {
    check("", &[], &[&SQLITE, &POSTGRES]);
}

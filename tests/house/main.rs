//! The structure of the code: no two files import each other, and dependencies between packages point one way.

mod imports;
mod loops;
mod modules;
mod workspace;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use imports::{Imports, add_crate};
use workspace::packages;

/// The packages of the workspace that each package can depend on.
const ARROWS: [(&str, &[&str]); 11] = [
    ("dataapi-core", &[]),
    ("dataapi-wire", &["dataapi-core"]),
    ("dataapi-client", &["dataapi-core", "dataapi-wire"]),
    ("dataapi-conformance", &["dataapi-core"]),
    ("dataapi-sqlite", &["dataapi-core"]),
    ("dataapi-postgres", &["dataapi-core"]),
    ("dataapi", &["dataapi-core", "dataapi-sqlite", "dataapi-postgres", "dataapi-client"]),
    ("dataapi-server", &["dataapi", "dataapi-core", "dataapi-wire"]),
    ("dataapi-cli", &["dataapi", "dataapi-core", "dataapi-wire"]),
    ("postgres-cluster", &[]),
    ("power-loss", &[]),
];

#[test]
fn no_two_files_import_each_other() {
    let mut told = String::new();
    for package in packages() {
        let folder = package.manifest_path.parent().expect("a manifest is in a folder");
        let read = |file: &Path| fs::read_to_string(folder.join(file)).ok();
        let mut imports = Imports::new();
        for target in &package.targets {
            let is_test = target.kind.iter().any(|kind| kind == "test");
            let root = target.src_path.strip_prefix(folder).expect("sources are in the package");
            if !is_test {
                add_crate(root, &read, &mut imports);
            }
        }
        let loops = loops::loops(&imports);
        if !loops.is_empty() {
            let _ = write!(told, "\n{}: {}", package.name, loops.len());
        }
        for found in loops {
            let _ = write!(told, "\n  {found}");
        }
    }
    assert!(told.is_empty(), "these files import each other, by these names:{told}");
}

#[test]
fn arrows_between_packages_point_one_way() {
    let arrows = BTreeMap::from(ARROWS);
    for package in packages() {
        let name = &package.name;
        let allowed = arrows.get(name.as_str());
        let allowed = allowed
            .unwrap_or_else(|| panic!("{name} is new: list the packages that it can depend on"));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.is_ours()) {
            let is_allowed = allowed.contains(&dependency.name.as_str());
            assert!(is_allowed, "{name} must not depend on {}", dependency.name);
        }
    }
}

/// The loops in a crate of these files. The first file is its root.
fn loops_in(files: &[(&str, &str)]) -> Vec<String> {
    let read = |file: &Path| {
        let (_, source) = files.iter().find(|(path, _)| Path::new(path) == file)?;
        Some((*source).to_owned())
    };
    let mut imports = Imports::new();
    add_crate(Path::new(files[0].0), &read, &mut imports);
    loops::loops(&imports).into_iter().collect()
}

#[test]
fn files_that_import_each_other_are_found_with_the_names() {
    let two = |to_b: &str, to_a: &str| {
        loops_in(&[("src/lib.rs", "mod a; mod b;"), ("src/a.rs", to_b), ("src/b.rs", to_a)])
    };
    for (to_b, name) in [
        ("use crate::b::B;", "crate::b::B"),
        ("use super::b::B as C;", "super::b::B"),
        ("use crate::{b::{self, B}};", "crate::b, crate::b::B"),
        ("use crate::b::*;", "crate::b"),
        ("use crate::b; fn f() { b::g() }", "b::g, crate::b"),
        ("fn f() -> Vec<crate::b::B> { todo!() }", "crate::b::B"),
        ("fn f() { use crate::b::B; }", "crate::b::B"),
        ("fn f() { println!(\"{}\", crate::b::g()); }", "crate::b::g"),
        ("macro_rules! m { () => { $crate::b::g() } }", "crate::b::g"),
        ("#[serde(with = \"crate::b::dates\")] struct A;", "crate::b::dates"),
        ("impl crate::b::B for u8 {}", "crate::b::B"),
        ("mod inner { use super::super::b::B; }", "super::super::b::B"),
        ("#[cfg(unix)] use crate::b::B;", "crate::b::B"),
        ("#[cfg(not(test))] use crate::b::B;", "crate::b::B"),
        ("pub use crate::b::B;", "crate::b::B"),
    ] {
        let expected = format!("src/a.rs -> src/b.rs ({name}) -> src/a.rs (super::a::A)");
        let b = "use super::a::A; trait B {} fn g() {}";
        assert_eq!(two(to_b, b), [expected], "{to_b}");
        assert!(two(to_b, "trait B {} fn g() {}").is_empty(), "{to_b}");
    }
}

#[test]
fn longer_loops_are_found_once() {
    let found = loops_in(&[
        ("src/main.rs", "mod a; mod b; mod c; mod d;"),
        ("src/a.rs", "use crate::b::B; use crate::d::D;"),
        ("src/b.rs", "use crate::c::C;"),
        ("src/c.rs", "use crate::a::A;"),
        ("src/d.rs", "use crate::c::C;"),
    ]);
    assert_eq!(
        found,
        [
            "src/a.rs -> src/b.rs (crate::b::B) -> src/c.rs (crate::c::C) -> src/a.rs (crate::a::A)",
            "src/a.rs -> src/d.rs (crate::d::D) -> src/c.rs (crate::c::C) -> src/a.rs (crate::a::A)",
        ]
    );
}

#[test]
fn a_file_and_the_folder_inside_it_are_two_files() {
    let found = loops_in(&[
        ("src/main.rs", "mod a; use a::A; fn f() {}"),
        ("src/a.rs", "mod b; struct A; fn g() { b::h(); }"),
        ("src/a/b.rs", "use super::A; fn h() { crate::f() }"),
    ]);
    assert_eq!(
        found,
        [
            "src/a/b.rs -> src/a.rs (super::A) -> src/a/b.rs (b::h)",
            "src/a/b.rs -> src/main.rs (crate::f) -> src/a.rs (a::A) -> src/a/b.rs (b::h)",
        ]
    );
}

#[test]
fn what_a_front_passes_on_is_of_the_file_behind_it() {
    let front = "mod b; mod c; pub(crate) use b::B;";
    let behind = "use crate::a::c::C; pub(crate) struct B;";
    let crate_of = |front: &str, c: &str| {
        loops_in(&[
            ("src/lib.rs", "mod a; pub use a::B;"),
            ("src/a/mod.rs", front),
            ("src/a/b.rs", behind),
            ("src/a/c.rs", c),
        ])
    };
    let pair =
        |name| vec![format!("src/a/b.rs -> src/a/c.rs (crate::a::c::C) -> src/a/b.rs ({name})")];
    assert_eq!(crate_of(front, "use super::B;"), pair("super::B"));
    assert_eq!(crate_of(front, "use crate::B;"), pair("crate::B"));
    assert_eq!(crate_of(front, "use crate::a; fn f(_: a::B) {}"), pair("a::B"));
    assert!(crate_of(front, "struct C;").is_empty());
    // A front that defines or does something itself counts like any other file.
    let doing = "mod b; mod c; pub(crate) use b::B; fn f(_: B) {} struct D;";
    assert_eq!(
        crate_of(doing, "use super::D;"),
        ["src/a/b.rs -> src/a/c.rs (crate::a::c::C) -> src/a/mod.rs (super::D) -> src/a/b.rs (B)"]
    );
}

#[test]
fn a_macro_is_of_the_file_that_defines_it() {
    let used = |b: &str| {
        loops_in(&[
            ("src/lib.rs", "#[macro_use] mod a; mod b;"),
            ("src/a.rs", "use crate::b::B; #[macro_export] macro_rules! m { () => {} }"),
            ("src/b.rs", b),
        ])
    };
    for (b, name) in
        [("m!();", "m!"), ("fn f() { vec![m!()]; }", "m!"), ("use crate::m;", "crate::m")]
    {
        assert_eq!(used(b), [format!("src/a.rs -> src/b.rs (crate::b::B) -> src/a.rs ({name})")]);
    }
    assert!(used("fn f(m: u8) -> u8 { g(m) + vec![m] }").is_empty(), "a variable of that name");
}

#[test]
fn tests_documents_and_other_crates_do_not_count() {
    let found = loops_in(&[
        ("src/lib.rs", "mod a; mod b; #[cfg(test)] mod c;"),
        (
            "src/a.rs",
            "//! See [`B`](crate::b::B).
             use crate::b::B; pub(in crate::b) struct A; mod inner { use super::A; }",
        ),
        (
            "src/b.rs",
            "use std::a::A; use ::a::b::B; pub struct B; fn f(a: u8) -> u8 { a.a() }
             /// As [`A`](crate::a::A).
             #[doc = \"crate::a::A\"]
             fn g() { a::f(std::a::A); }
             #[cfg(test)] use crate::a::A;
             #[cfg(all(unix, test))] fn h() { crate::a::f(); }
             impl B { #[cfg(test)] fn i() { crate::a::f(); } }
             #[cfg(test)] mod tests { use crate::a::A; use super::*; }",
        ),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

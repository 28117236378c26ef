//! Replaces the ports that a document names by free ones, so that sessions can run side by side.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Linux takes higher ports for outgoing connections, which could take a free port before a server does.
const CANDIDATES: Range<u16> = 12_000..32_000;

static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{1,5})\b").expect("a pattern")
});

/// The port that is used for each port of a document.
#[derive(Default)]
pub(crate) struct Ports(BTreeMap<u16, u16>);

impl Ports {
    /// The free port that is used for this one.
    pub(crate) fn of(&mut self, port: u16) -> u16 {
        *self.0.entry(port).or_insert_with(free_port)
    }

    /// The text with a free port in each address of this machine.
    pub(crate) fn replace_in(&mut self, text: &str) -> String {
        let replaced = ADDRESS.replace_all(text, |address: &Captures<'_>| {
            let port = address[2]
                .parse()
                .map_or_else(|_| address[2].to_owned(), |port| self.of(port).to_string());
            format!("{}:{port}", &address[1])
        });
        replaced.into_owned()
    }
}

/// The ports of all addresses of this machine in a text.
pub(crate) fn ports_in(text: &str) -> Vec<u16> {
    ADDRESS.captures_iter(text).filter_map(|address| address[2].parse().ok()).collect()
}

fn free_port() -> u16 {
    let count = u64::from(CANDIDATES.end - CANDIDATES.start);
    let candidates = (0..1000_u16).map(|attempt| {
        let offset = RandomState::new().hash_one(attempt) % count;
        CANDIDATES.start + u16::try_from(offset).expect("less than the count")
    });
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    candidates.into_iter().find(is_free).expect("a free port")
}

#[test]
fn each_port_has_one_in_its_place() {
    let mut ports = Ports::default();
    let text = "http://127.0.0.1:8080/ https://localhost:8443 0.0.0.0:8443 example:8080";
    let replaced = ports.replace_in(text);
    let [plain, tls] = [ports.of(8080), ports.of(8443)];
    assert_eq!(ports_in(&replaced), [plain, tls, tls]);
    assert!(plain != tls && replaced.ends_with("example:8080"));
}

//! The attacks: what each does, over which transports, and against which settings of the server.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the attackers speak to the server. Other callers speak HTTP/1.1 to it, over TLS unless it is plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    /// HTTP/1.1 without TLS
    Http,
    /// HTTP/1.1 over TLS
    Tls,
    /// HTTP/2 over TLS
    H2,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Tls => "tls",
            Self::H2 => "h2",
        })
    }
}

/// From where attackers connect. Other callers connect from 127.0.0.1.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Source {
    /// The address of the other callers, as behind a proxy.
    SameAddress,
    /// This many other addresses.
    Addresses(u8),
}

/// How many connections a second are opened until there are as many as the attack wants.
pub(crate) const OPENED_A_SECOND: u32 = 1_000;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// No attack: what the figures of the others are compared with.
    Nothing,
    /// Connections that send nothing, after the handshake if there is one. No key.
    Idle { connections: usize, source: Source },
    /// Connections with a head of 60 kB that never ends. No key.
    HalfHeads { connections: usize, source: Source },
    /// Connections with a TLS handshake that never ends. No key.
    HalfHandshakes { connections: usize, source: Source },
    /// Readers of pages of 7.9 MB, each page another one, which take 2 KB a second; with HTTP/2 streams that take
    /// nothing.
    SlowPages { readers: usize },
    /// This many pages without a dialog, each page another one.
    EmptyPages { pages: u64 },
    /// Callers who ask for one page of 1,000 texts of 64 KiB after the other.
    Reads { callers: usize, compressed: bool },
    /// Clients who ask for such pages and read nothing of them; with HTTP/2 on 128 streams each.
    Unread { clients: usize },
    /// Requests for such pages, whose clients hang up at once.
    Abandoned { a_second: u32 },
    /// Requests that wait for changes, whose clients hang up at once.
    HungUp { a_second: u32 },
    /// Requests that wait for changes with a key that ends meanwhile.
    Followers { clients: usize, end: KeyEnd },
}

impl Kind {
    /// How long it takes until the attack is there in full.
    pub(crate) fn building(self) -> Duration {
        match self {
            Self::Idle { connections, .. }
            | Self::HalfHeads { connections, .. }
            | Self::HalfHandshakes { connections, .. } => {
                Duration::from_secs_f64(connections as f64 / f64::from(OPENED_A_SECOND))
            }
            _ => Duration::ZERO,
        }
    }
}

/// How a key ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum KeyEnd {
    Revoked,
    Expired,
}

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) transports: &'static [Transport],
    /// Settings of the server other than its defaults: names and values in turn.
    pub(crate) settings: &'static [(&'static str, &'static str)],
    /// Whether the other caller asks for large pages as well.
    pub(crate) wants_large_pages: bool,
    /// By how many megabytes the server's memory may grow, if that is less than its bounds allow.
    pub(crate) most_growth: Option<f64>,
}

const ALL: &[Transport] = &[Transport::Http, Transport::Tls, Transport::H2];
const HTTP_1: &[Transport] = &[Transport::Http, Transport::Tls];
const TLS: &[Transport] = &[Transport::Tls];

const SAME: Source = Source::SameAddress;
const MANY: Source = Source::Addresses(200);
const STRANGERS: usize = 10_000;

const fn attack(name: &'static str, transports: &'static [Transport], kind: Kind) -> Attack {
    Attack { name, kind, transports, settings: &[], wants_large_pages: false, most_growth: None }
}

pub(crate) const ATTACKS: [Attack; 17] = [
    attack("none", HTTP_1, Kind::Nothing),
    Attack {
        settings: &[("max-buffered-bytes", "67108864")],
        ..attack("slow-pages", ALL, Kind::SlowPages { readers: 150 })
    },
    attack("heads", ALL, Kind::HalfHeads { connections: STRANGERS, source: SAME }),
    attack("heads-spread", HTTP_1, Kind::HalfHeads { connections: STRANGERS, source: MANY }),
    // They are held by the page cache, which is 8 MiB.
    Attack {
        most_growth: Some(64.0),
        ..attack("empty-pages", HTTP_1, Kind::EmptyPages { pages: 140_000 })
    },
    attack("revoked", HTTP_1, Kind::Followers { clients: 4, end: KeyEnd::Revoked }),
    attack("expired", HTTP_1, Kind::Followers { clients: 4, end: KeyEnd::Expired }),
    attack("idle", HTTP_1, Kind::Idle { connections: STRANGERS, source: SAME }),
    attack("idle-spread", HTTP_1, Kind::Idle { connections: STRANGERS, source: MANY }),
    attack("handshakes", TLS, Kind::HalfHandshakes { connections: STRANGERS, source: SAME }),
    attack("handshakes-spread", TLS, Kind::HalfHandshakes { connections: STRANGERS, source: MANY }),
    attack("reads-8", HTTP_1, Kind::Reads { callers: 8, compressed: false }),
    attack("reads-64", HTTP_1, Kind::Reads { callers: 64, compressed: false }),
    attack("reads-compressed", HTTP_1, Kind::Reads { callers: 8, compressed: true }),
    Attack { wants_large_pages: true, ..attack("unread", ALL, Kind::Unread { clients: 4 }) },
    attack("abandoned", HTTP_1, Kind::Abandoned { a_second: 20 }),
    attack("hung-up", HTTP_1, Kind::HungUp { a_second: 200 }),
];

/// What the process of the attackers needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    pub(crate) certificate: PathBuf,
    pub(crate) seconds: u64,
    pub(crate) store: PathBuf,
    /// A key with the role `read`.
    pub(crate) reader: String,
    /// A key with the roles `ingest` and `consent`.
    pub(crate) chatbot: String,
}

/// What the attackers saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// How many connections they opened, in turn or at once.
    pub(crate) opened: u64,
    pub(crate) most_open: u64,
    /// How many connections the server ended or refused.
    pub(crate) ended: u64,
    /// How many answers they got, by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    pub(crate) megabytes_read: f64,
    /// The processor time that they took.
    pub(crate) processor_seconds: f64,
    /// What else is worth a line.
    pub(crate) notes: Vec<String>,
    /// What the server must not have done.
    pub(crate) broken: Vec<String>,
}

//! The dialogs that everything is measured with, and the stores that hold them.

use std::fmt::Write;
use std::io::{self, BufWriter};
use std::path::Path;

use dataapi::{
    Cursor, Date, Dialog, DialogId, DialogStore, Filter, ImportedDialog, NewDialog, Position,
};
use dataapi_sqlite::{Options, SqliteStore};
use serde::Serialize;

use crate::outcome::Outcome;

pub(crate) const CUSTOMERS: u64 = 1_000;
pub(crate) const LANGUAGES: [&str; 8] = ["en", "de", "fr", "es", "pt-BR", "ar", "ja", "ru"];

/// Dialogs of different spaces never have the same id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space(pub(crate) u64);

/// What a store is filled with at the start.
pub(crate) const CONSENTED: Space = Space(1);
/// What is decided on.
pub(crate) const PENDING: Space = Space(2);

impl Space {
    /// Shaped as a random UUID, as most clients' ids are: its places in an index lie anywhere.
    pub(crate) fn id(self, number: u64) -> String {
        let mut id = String::with_capacity(36);
        self.write_id(number, &mut id);
        id
    }

    pub(crate) fn write_id(self, number: u64, to: &mut impl Write) {
        let [a, b] = [0, 1].map(|half| scatter((self.0 << 48) + number * 2 + half));
        let [b1, b2, b3] = [b >> 48, (b >> 32) & 0xffff, b & 0xffff_ffff];
        write!(
            to,
            "{:08x}-{:04x}-{:04x}-{b1:04x}-{b2:04x}{b3:08x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff
        )
        .expect("a string takes all");
    }

    pub(crate) fn dialog(self, number: u64) -> NewDialog {
        let (customer, language) = (customer(number), language(number));
        NewDialog::parse(&customer, &self.id(number), language, &text(number)).expect("it is valid")
    }
}

/// `SplitMix64`: different numbers stay different.
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(crate) fn customer(number: u64) -> String {
    format!("c-{:06}", number % CUSTOMERS)
}

pub(crate) fn language(number: u64) -> &'static str {
    LANGUAGES[usize::try_from(number / CUSTOMERS % 8).expect("it is small")]
}

/// About 200 bytes.
pub(crate) fn text(number: u64) -> String {
    let mut text = String::with_capacity(200);
    write_text(number, &mut text);
    text
}

pub(crate) fn write_text(number: u64, to: &mut impl Write) {
    write!(
        to,
        "User: Where is my parcel number {number:012}? Bot: It left the warehouse this morning and \
         will be with you tomorrow before noon. User: Thank you, that is good to know. Bot: You \
         are welcome, and good bye!"
    )
    .expect("a string takes all");
}

pub(crate) fn date(number: u64) -> Date {
    let micros = 1_700_000_000_000_000 + i64::try_from(number).expect("it is small") * 1_000;
    Date::from_micros(micros).expect("it is in range")
}

/// The cursor after the consented dialog `number`.
pub(crate) fn cursor_after(number: u64) -> Cursor {
    let dialog_id: DialogId = CONSENTED.id(number).parse().expect("it is valid");
    Cursor::in_filter(&Filter::default(), Position { date: date(number), dialog_id })
}

/// All numbers below `count`, far from their neighbours.
pub(crate) fn shuffled(count: u64) -> impl Iterator<Item = u64> + Clone {
    // A prime, so that it has no factor in common with a round number of dialogs.
    const STEP: u64 = 7_368_787;
    (0..count).map(move |at| at * STEP % count)
}

pub(crate) fn open(path: &Path) -> Outcome<SqliteStore> {
    Ok(SqliteStore::open(path, Options::default())?)
}

/// A store of `consented` dialogs, and as many `pending` ones after them.
pub(crate) async fn build(path: &Path, consented: u64, pending: u64) -> Outcome<()> {
    let store = open(path)?;
    import(&store, consented, |number| ImportedDialog {
        dialog: CONSENTED.dialog(number),
        date: Some(date(number)),
        consented: true,
    })
    .await?;
    import(&store, pending, |number| ImportedDialog {
        dialog: PENDING.dialog(number),
        date: None,
        consented: false,
    })
    .await
}

/// Imports so many dialogs, a thousand at once.
pub(crate) async fn import(
    store: &dyn DialogStore,
    count: u64,
    dialog: impl Fn(u64) -> ImportedDialog,
) -> Outcome<()> {
    for first in (0..count).step_by(1_000) {
        let batch = (first..count.min(first + 1_000)).map(&dialog).collect();
        for outcome in store.import(batch).await? {
            outcome?;
        }
    }
    Ok(())
}

/// A dialog as the command line exports and imports it.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) dialog_id: &'a str,
    pub(crate) customer_id: &'a str,
    pub(crate) text: &'a str,
    pub(crate) language: &'a str,
    pub(crate) consent_received: bool,
    pub(crate) date: String,
}

/// What the command line is to import.
pub(crate) fn write_lines(path: &Path, count: u64) -> Outcome<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for number in 0..count {
        let line = Line {
            dialog_id: &CONSENTED.id(number),
            customer_id: &customer(number),
            text: &text(number),
            language: language(number),
            consent_received: true,
            date: date(number).to_string(),
        };
        write_line(&mut file, &line)?;
    }
    Ok(io::Write::flush(&mut file)?)
}

pub(crate) fn write_line(to: &mut impl io::Write, line: &Line<'_>) -> Outcome<()> {
    serde_json::to_writer(&mut *to, line)?;
    Ok(to.write_all(b"\n")?)
}

/// A copy of a store that nobody has open.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    remove(to)?;
    std::fs::copy(from, to)?;
    // Nobody's fsync is to wait for the copy.
    Ok(std::fs::File::open(to)?.sync_all()?)
}

pub(crate) fn remove(path: &Path) -> Outcome<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
    }
    Ok(())
}

/// So that what a query yields is used.
pub(crate) fn bytes_of(dialogs: &[Dialog]) -> usize {
    dialogs.iter().map(|dialog| dialog.text().as_str().len()).sum()
}

//! The dialogs of all measurements, and the stores that have them.

use std::fmt::{Display, Write};
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

/// Where the part of an id in order begins that is the same in all ids of a space.
pub(crate) const MARKER_AT: usize = 13;

/// Marks the spaces whose ids are in the order of their numbers.
const IN_ORDER: u64 = 1 << 15;

/// A set of numbered dialogs. Dialogs in different spaces never have the same id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space(pub(crate) u64);

/// The consented dialogs that a store is filled with.
pub(crate) const CONSENTED: Space = Space(1);
/// The pending dialogs that are decided on.
pub(crate) const PENDING: Space = Space(2);

impl Space {
    /// A space whose ids are in the order of their numbers, as those of clients that count are. New ids are at the end of
    /// an index.
    pub(crate) const fn in_order(number: u64) -> Self {
        Self(number | IN_ORDER)
    }

    /// The id of a dialog. Unless they are in order, it looks like a random UUID, so new ids are at random places in an
    /// index.
    pub(crate) fn id(self, number: u64) -> String {
        let mut id = String::with_capacity(36);
        self.write_id(number, &mut id);
        id
    }

    pub(crate) fn write_id(self, number: u64, to: &mut impl Write) {
        let [a, b] = [0, 1].map(|half| scatter((self.0 << 48) + number * 2 + half));
        if self.0 & IN_ORDER != 0 {
            let (high, low) = (number >> 16, number & 0xffff);
            let (space, parity) = (self.0 & !IN_ORDER, number & 1);
            // A letter that hardly anything else has makes a search for the marker fast.
            let letter = u8::try_from(space).map_or('G', |space| char::from(b'G' + space % 20));
            write!(
                to,
                "{space:04x}{high:04x}-{low:04x}-7{letter}{letter}{letter}-8{parity:03x}-{:012x}",
                a >> 16
            )
            .expect("writing to a string cannot fail");
            return;
        }
        let [b1, b2, b3] = [b >> 48, (b >> 32) & 0xffff, b & 0xffff_ffff];
        write!(
            to,
            "{:08x}-{:04x}-{:04x}-{b1:04x}-{b2:04x}{b3:08x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xffff
        )
        .expect("writing to a string cannot fail");
    }

    pub(crate) fn dialog(self, number: u64) -> NewDialog {
        self.dialog_with(number, &text(number))
    }

    /// A dialog whose text has its id in it, so that a search for the id finds both.
    pub(crate) fn marked_dialog(self, number: u64) -> NewDialog {
        let mut text = String::with_capacity(240);
        write_text_about(&self.id(number), &mut text);
        self.dialog_with(number, &text)
    }

    fn dialog_with(self, number: u64, text: &str) -> NewDialog {
        let (customer, language) = (customer(number), language(number));
        NewDialog::parse(&customer, &self.id(number), language, text).expect("the dialog is valid")
    }

    /// What stands at [`MARKER_AT`] in all ids of a space in order, and in no others. With `odd`, in those of its odd
    /// numbers.
    pub(crate) fn marker(self, odd: bool) -> String {
        let (id, length) = (self.id(1), if odd { "-7000-8001-" } else { "-7000-8" }.len());
        id[MARKER_AT..MARKER_AT + length].to_owned()
    }
}

/// The number of a dialog in a space in order, from what stands before [`MARKER_AT`] in its id.
pub(crate) fn number_of(start: &[u8; MARKER_AT]) -> Option<u64> {
    let start = std::str::from_utf8(start).ok()?;
    let digits = [start.get(4..8)?, start.get(9..13)?];
    let [high, low] = digits.map(|digits| u64::from_str_radix(digits, 16).ok());
    Some((high? << 16) + low?)
}

/// How many bytes of content a dialog has: its id, customer, language and text.
pub(crate) fn content_bytes(number: u64) -> u64 {
    let id = CONSENTED.id(number).len();
    (id + customer(number).len() + language(number).len() + text(number).len()) as u64
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
    LANGUAGES[usize::try_from(number / CUSTOMERS % 8).expect("the number is below 8")]
}

/// The text of a dialog, about 200 bytes.
pub(crate) fn text(number: u64) -> String {
    let mut text = String::with_capacity(200);
    write_text(number, &mut text);
    text
}

pub(crate) fn write_text(number: u64, to: &mut impl Write) {
    write_text_about(&format_args!("number {number:012}"), to);
}

fn write_text_about(parcel: &dyn Display, to: &mut impl Write) {
    write!(
        to,
        "User: Where is my parcel {parcel}? Bot: It left the warehouse this morning and \
         will be with you tomorrow before noon. User: Thank you, that is good to know. Bot: You \
         are welcome, and good bye!"
    )
    .expect("writing to a string cannot fail");
}

pub(crate) fn date(number: u64) -> Date {
    let number = i64::try_from(number).expect("the number is small");
    Date::from_micros(1_700_000_000_000_000 + number * 1_000).expect("the date is in range")
}

/// The cursor after the consented dialog `number`.
pub(crate) fn cursor_after(number: u64) -> Cursor {
    let dialog_id: DialogId = CONSENTED.id(number).parse().expect("the id is valid");
    Cursor::in_filter(&Filter::default(), Position { date: date(number), dialog_id })
}

/// All numbers below `count`, each far from the one before.
pub(crate) fn shuffled(count: u64) -> impl Iterator<Item = u64> + Clone {
    // It is prime, so it has no factor in common with a round number of dialogs.
    const STEP: u64 = 7_368_787;
    (0..count).map(move |at| at * STEP % count)
}

pub(crate) fn open(path: &Path) -> Outcome<SqliteStore> {
    Ok(SqliteStore::open(path, Options::default())?)
}

/// Makes a store with `consented` dialogs, and after them `pending` ones.
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

/// Makes a store with pending dialogs of a space whose texts have their ids in them.
pub(crate) async fn build_marked(path: &Path, space: Space, pending: u64) -> Outcome<()> {
    import(&open(path)?, pending, |number| ImportedDialog {
        dialog: space.marked_dialog(number),
        date: None,
        consented: false,
    })
    .await
}

/// Imports `count` dialogs, a thousand at a time.
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

/// A dialog in the format in which the command line exports and imports it.
#[derive(Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) dialog_id: &'a str,
    pub(crate) customer_id: &'a str,
    pub(crate) text: &'a str,
    pub(crate) language: &'a str,
    pub(crate) consent_received: bool,
    pub(crate) date: String,
}

/// Writes the file that the command line imports.
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

/// Copies a store that nobody has open.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    remove(to)?;
    std::fs::copy(from, to)?;
    // The fsyncs that are measured must not wait for the copy.
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

/// Uses the result of a query, so that the compiler cannot remove it.
pub(crate) fn bytes_of(dialogs: &[Dialog]) -> usize {
    dialogs.iter().map(|dialog| dialog.text().as_str().len()).sum()
}

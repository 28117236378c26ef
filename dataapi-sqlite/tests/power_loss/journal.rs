//! What a load has asked for and what was acknowledged, written down outside of the store.
//!
//! The load appends lines to a file, and its length at a moment says what was known at that moment. What is asked for is
//! written before the call, and what was acknowledged after it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::str::FromStr;

/// The state of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Absent,
    Pending,
    Granted,
    Withdrawn,
    Erased,
}

/// Work on whole files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// The store is open.
    Open,
    /// A backup of it.
    Backup,
    /// A new store from that backup.
    Restore,
    /// A copy of it.
    Copy,
    /// A store that an earlier version wrote is on the disk.
    Earlier,
    /// That one is up to date.
    Migration,
}

/// The number of a piece of work.
pub(crate) type Number = u64;

const STATES: [(&str, State); 5] = [
    ("absent", State::Absent),
    ("pending", State::Pending),
    ("granted", State::Granted),
    ("withdrawn", State::Withdrawn),
    ("erased", State::Erased),
];

const WORKS: [(&str, Work); 6] = [
    ("open", Work::Open),
    ("backup", Work::Backup),
    ("restore", Work::Restore),
    ("copy", Work::Copy),
    ("earlier", Work::Earlier),
    ("migration", Work::Migration),
];

fn word<T: PartialEq>(words: &[(&'static str, T)], of: &T) -> &'static str {
    words.iter().find(|(_, value)| value == of).expect("a word for each").0
}

fn read<T: Copy>(words: &[(&str, T)], word: &str) -> T {
    words.iter().find(|(known, _)| *known == word).expect("a known word").1
}

/// The file, for the load.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Self {
        Self(File::options().append(true).create(true).open(path).unwrap())
    }

    pub(crate) fn asks(&self, ids: &[String], state: State) {
        self.note('?', ids, state);
    }

    pub(crate) fn acknowledged(&self, ids: &[String], state: State) {
        self.note('!', ids, state);
    }

    /// The call failed, so nothing has changed.
    pub(crate) fn refused(&self, ids: &[String]) {
        self.note('-', ids, State::Absent);
    }

    fn note(&self, mark: char, ids: &[String], state: State) {
        let line = |id| format!("{mark} {id} {}\n", word(&STATES, &state));
        self.write(&ids.iter().map(line).collect::<String>());
    }

    pub(crate) fn begins(&self, work: Work, number: Number) {
        self.write(&format!("b {} {number}\n", word(&WORKS, &work)));
    }

    pub(crate) fn done(&self, work: Work, number: Number) {
        self.write(&format!("d {} {number}\n", word(&WORKS, &work)));
    }

    fn write(&self, lines: &str) {
        // One call: the length of the file never ends within a line.
        (&self.0).write_all(lines.as_bytes()).unwrap();
    }
}

/// What is known of a dialog.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered {
    pub(crate) acknowledged: State,
    /// What the last call asks for, if it has no answer yet.
    pub(crate) asked_for: State,
}

/// The dialogs, by id.
pub(crate) type Dialogs = BTreeMap<String, Remembered>;

/// What is known at one moment.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) dialogs: Dialogs,
    /// Each piece of work, the dialogs as they were before it, and whether it is done.
    pub(crate) works: BTreeMap<(Work, Number), (Dialogs, bool)>,
}

impl Known {
    pub(crate) fn is_done(&self, work: Work) -> bool {
        self.works.iter().any(|((other, _), (_, is_done))| *other == work && *is_done)
    }

    /// The work that is not done.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = Work> {
        self.works.iter().filter(|(_, (_, is_done))| !is_done).map(|((work, _), _)| *work)
    }
}

impl FromStr for Known {
    type Err = std::convert::Infallible;

    fn from_str(lines: &str) -> Result<Self, Self::Err> {
        let mut known = Self::default();
        for line in lines.lines() {
            let mut words = line.split(' ');
            let mut next = || words.next().expect("three words");
            let (mark, what, value) = (next(), next(), next());
            match mark {
                "b" => {
                    let key = (read(&WORKS, what), value.parse().expect("a number"));
                    let dialogs = known.dialogs.clone();
                    known.works.entry(key).or_insert((dialogs, false));
                }
                "d" => {
                    let key = (read(&WORKS, what), value.parse().expect("a number"));
                    known.works.get_mut(&key).expect("it has begun").1 = true;
                }
                _ => {
                    let nothing =
                        Remembered { acknowledged: State::Absent, asked_for: State::Absent };
                    let dialog = known.dialogs.entry(what.to_owned()).or_insert(nothing);
                    let state = read(&STATES, value);
                    match mark {
                        "?" => dialog.asked_for = state,
                        "!" => *dialog = Remembered { acknowledged: state, asked_for: state },
                        _ => dialog.asked_for = dialog.acknowledged,
                    }
                }
            }
        }
        Ok(known)
    }
}

/// The text of the dialog with this id. One in five is too long for one page of the file.
pub(crate) fn text(id: &str) -> String {
    let length = if id.ends_with(['0', '5']) { 6_000 } else { 0 };
    format!("{START}{id}, \"quoted\" 🙂\n{}{START}{id}, whole", "x".repeat(length))
}

/// How each text begins, before the id and a comma.
pub(crate) const START: &str = "the text of ";

//! Opens what a loss of power has left, and compares it with what was known at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dataapi_core::{
    Audit, ConsentState, Dialogs as _, Event, Filter, Ledger, Limit, NewDialog, PageRequest, Start,
    Stats, StoreError, Window,
};
use dataapi_sqlite::{OpenError, Options, SqliteStore, check, files, restore};
use memchr::memmem;
use power_loss::Image;

use crate::journal::{Dialogs, Known, START, State, Work, text};
use crate::load::{STORE, earlier, file_of};
use crate::scene::{copy, go_on, ledger, since};

/// What is wrong with what is left; nothing of it is allowed.
pub(crate) type Wrong = String;

macro_rules! right {
    ($is_right:expr, $($told:tt)+) => {
        if !$is_right {
            return Err(format!($($told)+));
        }
    };
}

/// Compares what is left with what was known.
pub(crate) async fn compare(image: &Image, known: &Known) -> Result<(), Wrong> {
    let folder = tempfile::tempdir_in(fast_folder()).map_err(|error| error.to_string())?;
    image.write_to(folder.path()).map_err(|error| error.to_string())?;
    let Some(events) = store(folder.path(), known).await? else { return Ok(()) };
    for ((work, number), (before, is_done)) in &known.works {
        let path = folder.path().join(file_of(*work, *number));
        let told = |wrong: Wrong| format!("{work:?} {number}, done: {is_done}: {wrong}");
        match work {
            Work::Open => Ok(()),
            Work::Backup => backup(&path, *is_done, before, known, &events).await,
            Work::Restore => {
                let (backed_up, _) = &known.works[&(Work::Backup, *number)];
                restored(&path, *is_done, backed_up, before, known).await
            }
            Work::Copy => copied(folder.path(), &path, *is_done, before).await,
            Work::Earlier | Work::Migration => migrated(&path).await,
        }
        .map_err(told)?;
    }
    Ok(())
}

/// A folder in memory, where there is one.
fn fast_folder() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

fn open(path: &Path, create: bool) -> Result<SqliteStore, OpenError> {
    let options = Options { create, readers: 1, cache_bytes: 1 << 20, ..Options::default() };
    SqliteStore::open(path, options)
}

/// Checks the store, and returns its ledger; `None` if there was none yet.
async fn store(folder: &Path, known: &Known) -> Result<Option<Vec<Event>>, Wrong> {
    let path = folder.join(STORE);
    let must_be_there = known.is_done(Work::Open);
    let store = match open(&path, false) {
        Ok(store) => store,
        Err(OpenError::Missing | OpenError::NotAStore) if !must_be_there => {
            let new =
                open(&path, true).map_err(|error| format!("it cannot be created: {error:?}"))?;
            right!(new.stats().await.is_ok_and(|stats| stats == Stats::default()), "not empty");
            return Ok(None);
        }
        Err(error) => return Err(format!("it does not open: {error:?}")),
    };
    let mut found = states(&store, &known.dialogs).await?;
    for (id, remembered) in &known.dialogs {
        let state = found.get(id).copied().unwrap_or(State::Absent);
        let is_right = [remembered.acknowledged, remembered.asked_for].contains(&state);
        right!(is_right, "{id} is {state:?}, but {remembered:?}");
    }
    readable(&store, &found).await?;
    let events = audited(&store).await?;
    let gone = |id: &&String| matches!(found[*id], State::Withdrawn | State::Erased);
    let left = left_in_files(&path)?;
    let left: Vec<_> = known.dialogs.keys().filter(gone).filter(|id| left.contains(*id)).collect();
    right!(left.is_empty(), "bytes of {left:?} are left");

    // It can be used further.
    let dialog = NewDialog::parse("after", "after", "en", &text("after")).expect("a dialog");
    store.insert(dialog).await.map_err(|error| format!("it takes no dialog: {error:?}"))?;
    drop(store);
    intact(&path)?;
    let store = open(&path, false).map_err(|error| format!("it does not open again: {error:?}"))?;
    found.insert("after".to_owned(), State::Pending);
    counts(&store, &found).await?;
    Ok(Some(events))
}

/// The state of each of these dialogs.
async fn states(store: &SqliteStore, dialogs: &Dialogs) -> Result<BTreeMap<String, State>, Wrong> {
    let mut found = BTreeMap::new();
    for id in dialogs.keys() {
        let state = match store.consent(&id.parse().expect("an id")).await {
            Ok(status) => match status.state {
                ConsentState::Pending => State::Pending,
                ConsentState::Granted => State::Granted,
                ConsentState::Withdrawn => State::Withdrawn,
                ConsentState::Erased => State::Erased,
            },
            Err(StoreError::NotFound) => State::Absent,
            Err(error) => return Err(format!("{id}: {error:?}")),
        };
        found.insert(id.clone(), state);
    }
    Ok(found)
}

/// Compares what can be read with the states.
async fn readable(store: &SqliteStore, states: &BTreeMap<String, State>) -> Result<(), Wrong> {
    let mut shown = BTreeMap::new();
    let mut window = Window { limit: Limit::MAX, ..Window::default() };
    loop {
        let request = PageRequest::new(Filter::default(), window.clone()).expect("a request");
        let page = store.query(&request).await.map_err(|error| format!("no page: {error:?}"))?;
        for dialog in &page.items {
            let (id, text) = (dialog.dialog_id().as_str(), dialog.text().as_str());
            right!(shown.insert(id.to_owned(), text.to_owned()).is_none(), "{id} came twice");
        }
        match page.next {
            Some(next) => window.start = Start::After(next),
            None => break,
        }
    }
    for (id, state) in states {
        let expected = (*state == State::Granted).then(|| text(id));
        right!(shown.remove(id) == expected, "{id} is {state:?}, but is shown otherwise");
    }
    right!(shown.is_empty(), "nobody stored {:?}", shown.keys());
    counts(store, states).await
}

async fn counts(store: &SqliteStore, states: &BTreeMap<String, State>) -> Result<(), Wrong> {
    let told = store.stats().await.map_err(|error| format!("no counts: {error:?}"))?;
    let of = |state| states.values().filter(|other| **other == state).count() as u64;
    let found = [told.pending, told.consented, told.withdrawn, told.erased];
    let expected = [State::Pending, State::Granted, State::Withdrawn, State::Erased].map(of);
    right!(found == expected, "pending, consented, withdrawn, erased: {found:?}, not {expected:?}");
    Ok(())
}

/// The ledger, if it is unbroken.
async fn audited(store: &SqliteStore) -> Result<Vec<Event>, Wrong> {
    let events = ledger(store, Limit::MAX).await;
    let head = store.ledger_head().await.map_err(|error| format!("no head: {error:?}"))?;
    let mut audit = Audit::new(Some(head));
    for event in &events {
        audit.check(event).map_err(|error| format!("the ledger: {error}"))?;
    }
    audit.finish().map_err(|error| format!("the ledger: {error}"))?;
    Ok(events)
}

fn intact(path: &Path) -> Result<(), Wrong> {
    let damage = check(path).map_err(|error| format!("it cannot be checked: {error:?}"))?;
    right!(damage.is_empty(), "damage: {damage:?}");
    Ok(())
}

/// The ids of the dialogs whose texts are anywhere in the files of a store.
fn left_in_files(path: &Path) -> Result<BTreeSet<String>, Wrong> {
    let mut ids = BTreeSet::new();
    for file in files(path).map_err(|error| format!("no files: {error:?}"))? {
        let bytes = std::fs::read(file).unwrap_or_default();
        for at in memmem::find_iter(&bytes, START) {
            let id = bytes[at + START.len()..].split(|byte| *byte == b',').next();
            ids.extend(id.map(|id| String::from_utf8_lossy(id).into_owned()));
        }
    }
    Ok(ids)
}

/// A backup is whole or not there. It restores everything that it must have, and nothing that is gone.
async fn backup(
    path: &Path,
    is_done: bool,
    before: &Dialogs,
    known: &Known,
    events: &[Event],
) -> Result<(), Wrong> {
    if !path.exists() {
        right!(!is_done, "it is lost");
        return Ok(());
    }
    intact(path)?;
    let again = path.with_extension("again");
    restore(path, &again, since(events.to_vec()), &mut go_on())
        .map_err(|error| format!("it cannot be restored: {error:?}"))?;
    whole(&again, before, &known.dialogs, known).await
}

async fn restored(
    path: &Path,
    is_done: bool,
    backed_up: &Dialogs,
    before: &Dialogs,
    known: &Known,
) -> Result<(), Wrong> {
    if !path.exists() {
        right!(!is_done, "it is lost");
        return Ok(());
    }
    whole(path, backed_up, before, known).await
}

/// Checks a store that was made from a backup. It must have the dialogs that were `backed_up`, but for those that were
/// gone `since`.
async fn whole(
    path: &Path,
    backed_up: &Dialogs,
    since: &Dialogs,
    known: &Known,
) -> Result<(), Wrong> {
    let store = open(path, false).map_err(|error| format!("it does not open: {error:?}"))?;
    let found = states(&store, &known.dialogs).await?;
    for (id, then) in backed_up {
        let (now, state) = (known.dialogs[id], found[id]);
        let has_changed = then.asked_for != then.acknowledged
            || now.acknowledged != then.acknowledged
            || now.asked_for != then.acknowledged;
        right!(has_changed || state == then.acknowledged, "{id} is {state:?}, but was {then:?}");
    }
    for (id, then) in since {
        let (state, was) = (found[id], then.acknowledged);
        let is_gone = matches!(was, State::Withdrawn | State::Erased);
        right!(!is_gone || state == was, "{id} is {state:?}, but was {was:?} before");
    }
    audited(&store).await?;
    readable(&store, &found).await?;
    drop(store);
    intact(path)
}

/// A copy is whole, unfinished or not there. An unfinished one can be completed.
async fn copied(folder: &Path, path: &Path, is_done: bool, before: &Dialogs) -> Result<(), Wrong> {
    let store = match open(path, false) {
        Ok(store) => store,
        Err(OpenError::Missing) if !is_done => return Ok(()),
        Err(OpenError::Unfinished) if !is_done => {
            // The store has got a dialog since, so the copy is of another state.
            let refused = copy(&folder.join(STORE), path).await;
            let is_clear =
                matches!(refused, Ok(_) | Err(dataapi_core::copy::IncompleteCopy::Changed));
            right!(is_clear, "it cannot be continued: {refused:?}");
            return Ok(());
        }
        Err(error) => return Err(format!("it does not open: {error:?}")),
    };
    let found = states(&store, before).await?;
    for (id, then) in before {
        let state = found[id];
        let is_right = [then.acknowledged, then.asked_for].contains(&state);
        right!(is_right, "{id} is {state:?}, but {then:?}");
    }
    readable(&store, &found).await?;
    audited(&store).await?;
    drop(store);
    intact(path)
}

/// The store of an earlier version has the same rows, whether or not it was migrated.
async fn migrated(path: &Path) -> Result<(), Wrong> {
    let fresh = tempfile::tempdir_in(fast_folder()).map_err(|error| error.to_string())?;
    let original = fresh.path().join(STORE);
    std::fs::copy(earlier(), &original).map_err(|error| error.to_string())?;
    let expected = open(&original, false).map_err(|error| format!("{error:?}"))?;
    let store = open(path, false).map_err(|error| format!("it does not open: {error:?}"))?;
    let (found, expected_events) = (audited(&store).await?, audited(&expected).await?);
    right!(found == expected_events, "its ledger differs");
    let (found, expected) = (store.stats().await, expected.stats().await);
    right!(
        matches!((&found, &expected), (Ok(found), Ok(expected)) if found == expected),
        "its counts are {found:?}, not {expected:?}"
    );
    drop(store);
    intact(path)?;
    Ok(())
}

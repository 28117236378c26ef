//! The limit of SQLite: the product's file, settings and statements, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use dataapi::{Clock, Date, DialogId, RefKey, SystemClock};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use serde::Deserialize;

use crate::data::{self, Line, Space};
use crate::outcome::Outcome;
use crate::tally::{Seen, Tally};

/// The product's own store file, opened without the product.
pub(crate) struct Raw {
    sql: Connection,
    key: RefKey,
    /// When the log was last emptied; `None` if it is not emptied.
    emptied: Option<Instant>,
}

/// How long erased bytes can stay in the log, as in the product.
const ERASE_WITHIN: Duration = Duration::from_secs(1);

/// The changes of a transaction to the counts, by customer and lower-case language. `""` means any.
type Counts = BTreeMap<(String, String), i64>;

impl Raw {
    /// Opens a store that the product made, so that it has the product's schema.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut sql = Connection::open_with_flags(path, flags)?;
        sql.set_prepared_statement_cache_capacity(64);
        sql.pragma_update(None, "journal_mode", "WAL")?;
        sql.pragma_update(None, "synchronous", "FULL")?;
        sql.pragma_update(None, "secure_delete", "ON")?;
        sql.pragma_update(None, "wal_autocheckpoint", 10_000)?;
        sql.pragma_update(None, "journal_size_limit", 64 << 20)?;
        sql.set_transaction_behavior(TransactionBehavior::Immediate);
        Ok(Self { sql, key: RefKey::from_bytes([7; 32]), emptied: None })
    }

    /// From now on, empties the log in time after an erasure, but does nothing else of a scrub.
    pub(crate) fn erasing(self) -> Self {
        Self { emptied: Some(Instant::now()), ..self }
    }

    fn empty_log_if_due(&mut self) -> Outcome<()> {
        if self.emptied.is_some_and(|emptied| emptied.elapsed() >= ERASE_WITHIN) {
            self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
            self.emptied = Some(Instant::now());
        }
        Ok(())
    }

    /// Inserts pending dialogs, `together` in each transaction. Returns the rows per second.
    pub(crate) fn inserts(&mut self, space: Space, together: u32, seconds: f64) -> Outcome<f64> {
        let started = Instant::now();
        let rows = self.insert_until(space, together, started, seconds, |_, _| ())?;
        Ok(rows as f64 / started.elapsed().as_secs_f64())
    }

    /// Inserts pending dialogs like [`Raw::inserts`]. Returns the latencies of whole transactions, and counts them.
    pub(crate) fn timed_inserts(
        &mut self,
        space: Space,
        together: u32,
        seconds: f64,
    ) -> Outcome<Seen> {
        let mut tally = Tally::new()?;
        let started = Instant::now();
        self.insert_until(space, together, started, seconds, |after, took| {
            tally.succeeded();
            tally.record(after, took);
        })?;
        Ok(tally.seen())
    }

    /// Inserts pending dialogs until `seconds` after the start. Calls `done` after each transaction with the time since
    /// the start and the time that it took. Returns the number of rows.
    fn insert_until(
        &mut self,
        space: Space,
        together: u32,
        started: Instant,
        seconds: f64,
        mut done: impl FnMut(Duration, Duration),
    ) -> Outcome<u64> {
        let mut number = 0;
        let mut after = started.elapsed();
        while after.as_secs_f64() < seconds {
            let transaction = self.sql.transaction()?;
            for _ in 0..together {
                insert_pending(&transaction, space, number)?;
                number += 1;
            }
            transaction
                .prepare_cached("UPDATE store SET last_date = ?1, pending = pending + ?2")?
                .execute((now(), together))?;
            transaction.commit()?;
            let before = std::mem::replace(&mut after, started.elapsed());
            done(after, after.saturating_sub(before));
        }
        Ok(number)
    }

    /// Decides on the dialogs `from..to` of a space, `together` in each transaction, for `seconds`. Returns the rows
    /// per second.
    pub(crate) fn decisions(
        &mut self,
        (space, from, to): (Space, u64, u64),
        yes: bool,
        together: u32,
        seconds: f64,
    ) -> Outcome<f64> {
        let started = Instant::now();
        let mut number = from;
        while started.elapsed().as_secs_f64() < seconds && number + u64::from(together) <= to {
            let transaction = self.sql.transaction()?;
            let mut counts = Counts::new();
            for _ in 0..together {
                let id = space.id(number);
                if yes {
                    grant(&transaction, &id, &self.key, &mut counts)?;
                } else {
                    withdraw(&transaction, &id, &self.key)?;
                }
                number += 1;
            }
            let withdrawn = if yes { 0 } else { together };
            transaction
                .prepare_cached(
                    "UPDATE store SET last_date = ?1, pending = pending - ?2,
                         withdrawn = withdrawn + ?3",
                )?
                .execute((now(), together, withdrawn))?;
            write_counts(&transaction, &counts)?;
            transaction.commit()?;
            self.empty_log_if_due()?;
        }
        Ok((number - from) as f64 / started.elapsed().as_secs_f64())
    }

    /// Reads dialogs from a file of JSON Lines and stores them as consented, 1000 in each transaction. Returns the rows
    /// per second.
    pub(crate) fn import(&mut self, lines: &Path) -> Outcome<f64> {
        let started = Instant::now();
        let file = BufReader::with_capacity(1 << 20, File::open(lines)?);
        let mut lines = serde_json::Deserializer::from_reader(file).into_iter::<Imported>();
        let mut number = 0_u64;
        loop {
            let transaction = self.sql.transaction()?;
            let mut counts = Counts::new();
            let mut together = 0_u32;
            for line in lines.by_ref().take(1_000) {
                insert_consented(&transaction, &line?, &self.key, &mut counts)?;
                together += 1;
            }
            transaction.prepare_cached("UPDATE store SET last_date = ?1")?.execute([now()])?;
            write_counts(&transaction, &counts)?;
            transaction.commit()?;
            number += u64::from(together);
            if together < 1_000 {
                return Ok(number as f64 / started.elapsed().as_secs_f64());
            }
        }
    }

    /// Writes all consented dialogs, newest first, to a file of JSON Lines, and syncs it. Returns the rows per second.
    pub(crate) fn export(&self, lines: &Path) -> Outcome<f64> {
        let started = Instant::now();
        let mut number = 0_u64;
        let mut file = BufWriter::with_capacity(1 << 16, File::create(lines)?);
        let mut statement = self.sql.prepare_cached(PAGE)?;
        let mut rows = statement.query((-1, 0))?;
        while let Some(row) = rows.next()? {
            let line = Line {
                dialog_id: row.get_ref(0)?.as_str()?,
                customer_id: row.get_ref(1)?.as_str()?,
                language: row.get_ref(2)?.as_str()?,
                text: row.get_ref(3)?.as_str()?,
                consent_received: true,
                date: Date::from_micros(row.get(4)?)?.to_string(),
            };
            data::write_line(&mut file, &line)?;
            number += 1;
        }
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(number as f64 / started.elapsed().as_secs_f64())
    }

    /// Reads a page by its offset, for `seconds`. Returns the pages per second.
    pub(crate) fn offset_pages(&self, limit: u32, offset: u32, seconds: f64) -> Outcome<f64> {
        repeat(seconds, |_| self.read_page(PAGE, (limit, offset)))
    }

    /// Reads pages like [`Raw::cursor_pages`], with a thread on each core. Each thread keeps one snapshot for the whole
    /// time, so none of them takes or releases a lock.
    pub(crate) fn cursor_pages_on_all_cores(
        path: &Path,
        limit: u32,
        dialogs: u64,
        seconds: f64,
    ) -> Outcome<f64> {
        let read = |skip: usize| {
            let raw = Self::open(path)?;
            raw.sql.execute_batch("BEGIN")?;
            let mut places = data::shuffled(dialogs).cycle().skip(skip);
            repeat(seconds, |_| {
                raw.total()?;
                raw.page_after(limit, places.next().unwrap_or(0))
            })
        };
        let cores = std::thread::available_parallelism()?.get();
        let apart = usize::try_from(dialogs)? / cores;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores)
                .map(|core| {
                    scope.spawn(move || read(core * apart).map_err(|error| error.to_string()))
                })
                .collect();
            threads.into_iter().map(|thread| Ok(thread.join().expect("it does not panic")?)).sum()
        })
    }

    /// Reads pages by cursor from everywhere in the store, with the total. Returns the pages per second.
    pub(crate) fn cursor_pages(&self, limit: u32, dialogs: u64, seconds: f64) -> Outcome<f64> {
        let mut places = data::shuffled(dialogs).cycle();
        repeat(seconds, |_| {
            self.total()?;
            self.page_after(limit, places.next().unwrap_or(0))
        })
    }

    /// Reads the newest page with the total. Returns the pages per second.
    pub(crate) fn newest_pages(&self, limit: u32, seconds: f64) -> Outcome<f64> {
        repeat(seconds, |_| {
            self.total()?;
            self.read_page(PAGE, (limit, 0))
        })
    }

    /// Reads one dialog.
    pub(crate) fn by_id(&self, id: &str) -> Outcome<()> {
        self.read_page(BY_ID, [id])
    }

    /// Reads one page, after the dialog with this number.
    pub(crate) fn page_after(&self, limit: u32, number: u64) -> Outcome<()> {
        let place = (limit, data::date(number).as_micros(), data::CONSENTED.id(number));
        self.read_page(PAGE_AFTER, place)
    }

    fn total(&self) -> Outcome<i64> {
        let mut statement = self.sql.prepare_cached(
            "SELECT n FROM consented_count WHERE customer_id = '' AND language = ''",
        )?;
        Ok(statement.query_row((), |row| row.get(0))?)
    }

    fn read_page(&self, sql: &str, parameters: impl rusqlite::Params) -> Outcome<()> {
        let mut statement = self.sql.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            for column in 0..4 {
                bytes += row.get_ref(column)?.as_str()?.len();
            }
        }
        std::hint::black_box(bytes);
        Ok(())
    }
}

const PAGE: &str = "SELECT dialog_id, customer_id, language, text, date FROM dialog
    INDEXED BY consented WHERE granted IS NOT NULL
    ORDER BY date DESC, dialog_id DESC LIMIT ?1 OFFSET ?2";

const BY_ID: &str =
    "SELECT dialog_id, customer_id, language, text, date FROM dialog WHERE dialog_id = ?1";

const PAGE_AFTER: &str = "SELECT dialog_id, customer_id, language, text, date FROM dialog
    INDEXED BY consented WHERE granted IS NOT NULL AND (date, dialog_id) < (?2, ?3)
    ORDER BY date DESC, dialog_id DESC LIMIT ?1";

/// Calls `once` again and again for `seconds`. Returns the calls per second.
pub(crate) fn repeat(seconds: f64, mut once: impl FnMut(u64) -> Outcome<()>) -> Outcome<f64> {
    let started = Instant::now();
    let mut times = 0;
    while started.elapsed().as_secs_f64() < seconds {
        once(times)?;
        times += 1;
    }
    Ok(times as f64 / started.elapsed().as_secs_f64())
}

fn now() -> i64 {
    SystemClock.now().as_micros()
}

fn insert_pending(sql: &Connection, space: Space, number: u64) -> Outcome<()> {
    sql.prepare_cached(
        "INSERT INTO dialog (dialog_id, customer_id, language, text, date, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, 0xffffffff)",
    )?
    .execute((
        space.id(number),
        data::customer(number),
        data::language(number),
        data::text(number),
        now(),
    ))?;
    Ok(())
}

fn grant(sql: &Connection, id: &str, key: &RefKey, counts: &mut Counts) -> Outcome<()> {
    let (seq, customer, language): (i64, String, String) = sql
        .prepare_cached("SELECT seq, customer_id, language FROM dialog WHERE dialog_id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let position = append(sql, id, key, 1, seq)?;
    sql.prepare_cached("UPDATE dialog SET granted = ?2 WHERE seq = ?1")?
        .execute((seq, position))?;
    count(counts, &customer, &language);
    Ok(())
}

fn withdraw(sql: &Connection, id: &str, key: &RefKey) -> Outcome<()> {
    let reference = key.reference(&id.parse::<DialogId>()?);
    let seq: i64 = sql
        .prepare_cached("SELECT seq FROM dialog WHERE dialog_id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let position = append(sql, id, key, 2, seq)?;
    sql.prepare_cached("DELETE FROM dialog WHERE seq = ?1")?.execute([seq])?;
    sql.prepare_cached("INSERT INTO tombstone VALUES (?1, ?2)")?
        .execute((reference.as_bytes(), position))?;
    Ok(())
}

/// Adds the row of an event. Its hash is a constant: chaining is left to the product.
fn append(sql: &Connection, id: &str, key: &RefKey, kind: u8, seq: i64) -> Outcome<i64> {
    let reference = key.reference(&id.parse::<DialogId>()?);
    sql.prepare_cached(
        "INSERT INTO event (ref, kind, date, hash, seq) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((reference.as_bytes(), kind, now(), [7_u8; 32], seq))?;
    Ok(sql.last_insert_rowid())
}

#[derive(Deserialize)]
struct Imported {
    dialog_id: String,
    customer_id: String,
    text: String,
    language: String,
    date: String,
}

fn insert_consented(
    sql: &Connection,
    line: &Imported,
    key: &RefKey,
    counts: &mut Counts,
) -> Outcome<()> {
    let date: Date = line.date.parse()?;
    let position: i64 = sql
        .prepare_cached("SELECT ifnull(max(position), 0) + 1 FROM event")?
        .query_row((), |row| row.get(0))?;
    sql.prepare_cached(
        "INSERT INTO dialog (dialog_id, customer_id, language, text, date, granted, checksum)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0xffffffff)",
    )?
    .execute((
        &line.dialog_id,
        &line.customer_id,
        &line.language,
        &line.text,
        date.as_micros(),
        position,
    ))?;
    append(sql, &line.dialog_id, key, 1, sql.last_insert_rowid())?;
    count(counts, &line.customer_id, &line.language);
    Ok(())
}

fn count(counts: &mut Counts, customer: &str, language: &str) {
    let language = language.to_ascii_lowercase();
    for customer in ["", customer] {
        for language in ["", &language] {
            *counts.entry((customer.into(), language.into())).or_default() += 1;
        }
    }
}

fn write_counts(sql: &Connection, counts: &Counts) -> Outcome<()> {
    let mut add = sql.prepare_cached(
        "INSERT INTO consented_count VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET n = n + excluded.n",
    )?;
    for ((customer, language), by) in counts {
        add.execute((customer, language, by))?;
    }
    Ok(())
}

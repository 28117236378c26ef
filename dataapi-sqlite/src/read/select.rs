//! Builds `SELECT` statements from conditions, with their parameters.

use dataapi_core::{Language, Position, Reach, StoredDialog};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::error::SqliteError;
use crate::read::budget::Budget;
use crate::rows::dialogs::{self, DIALOG_COLUMNS};

/// A `SELECT` statement with its parameters.
pub(crate) struct Select {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}

impl Select {
    pub(crate) fn new(sql: String) -> Self {
        Self { sql, parameters: Vec::new() }
    }

    /// Adds `condition`, in which each `?` stands for one of `values`.
    pub(crate) fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.parameters.extend(values);
    }

    /// Selects the dialog of a grant that is still in effect, if the dialog is within `reach`. The first parameter is
    /// the number of the grant's event.
    pub(crate) fn of_grant(reach: &Reach) -> Self {
        Self::from_grant(DIALOG_COLUMNS, reach)
    }

    /// Selects 1 if a grant is still in effect and its dialog is within `reach`. The first parameter is the number of
    /// the grant's event.
    pub(crate) fn is_grant_within(reach: &Reach) -> Self {
        Self::from_grant("1", reach)
    }

    fn from_grant(columns: &str, reach: &Reach) -> Self {
        let mut query = Self::new(format!(
            "SELECT {columns} FROM dialog
             WHERE seq = (SELECT seq FROM event WHERE position = ?1) AND granted = ?1"
        ));
        query.within(reach);
        query
    }

    pub(crate) fn within(&mut self, reach: &Reach) {
        if !reach.languages().is_empty() {
            self.in_any_of(reach.languages());
        }
        self.of_customers(reach);
    }

    pub(crate) fn in_any_of(&mut self, languages: &[Language]) {
        let marks = vec!["?"; languages.len()].join(", ");
        let tags = languages.iter().map(|tag| tag.as_str().to_owned().into());
        self.and(&format!("language IN ({marks})"), tags);
    }

    pub(crate) fn of_customers(&mut self, reach: &Reach) {
        if let Some(prefix) = reach.customers() {
            self.and("customer_id >= ?", [prefix.as_str().to_owned().into()]);
            if let Some(end) = prefix.end() {
                self.and("customer_id < ?", [end.into()]);
            }
        }
    }

    pub(crate) fn after(&mut self, position: &Position) {
        self.and(
            "(date, dialog_id) < (?, ?)",
            [position.date.as_micros().into(), position.dialog_id.as_str().to_owned().into()],
        );
    }

    pub(crate) fn limited(&mut self, limit: usize, offset: u64) {
        self.sql.push_str(" ORDER BY date DESC, dialog_id DESC LIMIT ? OFFSET ?");
        // One more than the limit, to see whether there is a next page.
        self.parameters.push(i64::try_from(limit + 1).unwrap_or(i64::MAX).into());
        self.parameters.push(i64::try_from(offset).unwrap_or(i64::MAX).into());
    }

    /// Runs the statement and returns its dialogs. It expects at most `limit` and one more.
    pub(crate) fn dialogs(
        &self,
        connection: &Connection,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<StoredDialog>, SqliteError> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let found =
            statement.query_map(params_from_iter(&self.parameters), dialogs::stored_dialog)?;
        let mut dialogs = Vec::with_capacity(limit + 1);
        for dialog in found {
            let dialog: StoredDialog = dialog?;
            budget.hold(dialog.bytes_in_memory())?;
            dialogs.push(dialog);
        }
        Ok(dialogs)
    }

    pub(crate) fn number(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let number: Option<i64> = connection
            .prepare_cached(&self.sql)?
            .query_row(params_from_iter(&self.parameters), |row| row.get(0))?;
        // The sum of no rows is NULL.
        Ok(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
    }
}

/// Combines selects that are each in the order of an index. SQLite merges them and does not sort.
pub(crate) fn merged(parts: impl Iterator<Item = Select>) -> Select {
    let (count, Select { sql, parameters }) = joined(parts, " UNION ALL ");
    let sql = if count == 1 { sql } else { format!("SELECT * FROM ({sql})") };
    Select { sql, parameters }
}

/// All rows of several selects.
pub(crate) fn union(parts: impl Iterator<Item = Select>) -> Select {
    joined(parts, " UNION ALL ").1
}

/// Adds up the counts of several indexes.
pub(crate) fn summed(parts: impl Iterator<Item = Select>) -> Select {
    let (count, Select { sql, parameters }) = joined(parts, ") + (");
    let sql = if count == 1 { sql } else { format!("SELECT ({sql})") };
    Select { sql, parameters }
}

fn joined(parts: impl Iterator<Item = Select>, separator: &str) -> (usize, Select) {
    let (sql, parameters): (Vec<_>, Vec<_>) = parts.map(|part| (part.sql, part.parameters)).unzip();
    let joined = Select { sql: sql.join(separator), parameters: parameters.concat() };
    (sql.len(), joined)
}

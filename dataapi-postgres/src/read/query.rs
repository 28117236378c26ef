//! Builds a statement piece by piece, together with its values.

use crate::pipeline::Parameter;

/// A statement and its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SqlQuery {
    pub(crate) sql: String,
    pub(crate) values: Vec<SqlValue>,
}

/// A value for a parameter of a statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SqlValue {
    Bytes(Vec<u8>),
    Integer(i32),
    Number(i64),
    Small(i16),
    Text(String),
    Texts(Vec<String>),
}

impl SqlValue {
    pub(crate) fn parameter(self) -> Parameter {
        match self {
            Self::Bytes(value) => Box::new(value),
            Self::Integer(value) => Box::new(value),
            Self::Number(value) => Box::new(value),
            Self::Small(value) => Box::new(value),
            Self::Text(value) => Box::new(value),
            Self::Texts(value) => Box::new(value),
        }
    }
}

impl SqlQuery {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Appends `sql`, in which each `?` stands for one of the values.
    pub(crate) fn append(&mut self, sql: &str, values: impl IntoIterator<Item = SqlValue>) {
        let mut values = values.into_iter();
        for (number, part) in sql.split('?').enumerate() {
            if number > 0 {
                self.values.extend(values.next());
                self.sql.push('$');
                self.sql.push_str(&self.values.len().to_string());
            }
            self.sql.push_str(part);
        }
    }
}

//! The pool of connections that read.

use deadpool_postgres::{Client, Pool};
use tokio_postgres::Row;

use crate::connect::Lent;
use crate::failure::Failure;
use crate::pipeline::{Parameter, Pipeline, patiently};

/// How often a read is tried whose connection is lost: of a pool all may be, after a failover.
const TRIES: usize = 3;

/// A statement with its values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// A value that is bound.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bytes(Vec<u8>),
    Integer(i32),
    Number(i64),
    Small(i16),
    Text(String),
    Texts(Vec<String>),
}

impl Value {
    fn parameter(self) -> Parameter {
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

impl Query {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    /// Goes on with that, each `?` in it standing for a value.
    pub(crate) fn append(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
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

/// The connections.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: Pool,
}

impl Readers {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// The rows of a statement.
    pub(crate) async fn rows(&self, query: &Query) -> Result<Vec<Row>, Failure> {
        let answers = self.together(std::slice::from_ref(query)).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// The one row of a statement that yields at most one.
    pub(crate) async fn row(&self, query: &Query) -> Result<Option<Row>, Failure> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// The rows of statements as they are at one moment, in one round trip.
    pub(crate) async fn together(&self, queries: &[Query]) -> Result<Vec<Vec<Row>>, Failure> {
        for _ in 1..TRIES {
            match self.read(queries).await {
                // The others of the pool are no better.
                Err(Failure::Lost) => drop(self.pool.retain(|_, _| false)),
                other => return other,
            }
        }
        self.read(queries).await
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Vec<Row>>, Failure> {
        let lent = Lent::from(&self.pool).await?;
        let answers = patiently(read(lent.client()?, queries)).await?;
        lent.give_back();
        Ok(answers)
    }
}

/// The rows of statements as they are at one moment.
pub(crate) async fn read(client: &Client, queries: &[Query]) -> Result<Vec<Vec<Row>>, Failure> {
    let mut statements = Vec::with_capacity(queries.len());
    for query in queries {
        statements.push(client.prepare_cached(&query.sql).await?);
    }
    // A statement alone is of one moment anyway.
    let is_one = queries.len() == 1;
    let mut pipeline = Pipeline::new(client);
    if !is_one {
        pipeline.command("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    }
    for (statement, query) in statements.into_iter().zip(queries) {
        let parameters = query.values.iter().cloned().map(Value::parameter).collect();
        pipeline.ask(statement, parameters);
    }
    if !is_one {
        pipeline.command("COMMIT");
    }
    let answers = pipeline.answers().await?;
    let first = usize::from(!is_one);
    Ok(answers.into_iter().skip(first).take(queries.len()).collect())
}

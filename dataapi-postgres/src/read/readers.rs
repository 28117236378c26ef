//! The pool of connections that read.

use deadpool_postgres::{Client, Pool};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::pipeline::{Pipeline, patiently};
use crate::pool::Lent;
use crate::read::query::{SqlQuery, SqlValue};

/// How often a read is tried whose connection is lost: of a pool all may be, after a failover.
const TRIES: usize = 3;

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
    pub(crate) async fn rows(&self, query: &SqlQuery) -> Result<Vec<Row>, PostgresError> {
        let answers = self.together(std::slice::from_ref(query)).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// The one row of a statement that yields at most one.
    pub(crate) async fn row(&self, query: &SqlQuery) -> Result<Option<Row>, PostgresError> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// The rows of statements as they are at one moment, in one round trip.
    pub(crate) async fn together(
        &self,
        queries: &[SqlQuery],
    ) -> Result<Vec<Vec<Row>>, PostgresError> {
        for _ in 1..TRIES {
            match self.read(queries).await {
                // The others of the pool are no better.
                Err(PostgresError::Lost) => drop(self.pool.retain(|_, _| false)),
                other => return other,
            }
        }
        self.read(queries).await
    }

    async fn read(&self, queries: &[SqlQuery]) -> Result<Vec<Vec<Row>>, PostgresError> {
        let lent = Lent::from(&self.pool).await?;
        let answers = patiently(read(lent.client()?, queries)).await?;
        lent.give_back();
        Ok(answers)
    }
}

/// The rows of statements as they are at one moment.
pub(crate) async fn read(
    client: &Client,
    queries: &[SqlQuery],
) -> Result<Vec<Vec<Row>>, PostgresError> {
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
        let parameters = query.values.iter().cloned().map(SqlValue::parameter).collect();
        pipeline.ask(statement, parameters);
    }
    if !is_one {
        pipeline.command("COMMIT");
    }
    let answers = pipeline.answers().await?;
    let first = usize::from(!is_one);
    Ok(answers.into_iter().skip(first).take(queries.len()).collect())
}

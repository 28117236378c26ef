//! The pool of connections for reading.

use deadpool_postgres::{Client, Pool};
use tokio_postgres::Row;

use crate::error::PostgresError;
use crate::pipeline::{Pipeline, patiently};
use crate::pool::Lent;
use crate::read::query::{SqlQuery, SqlValue};

/// How often to try a read whose connection is lost. After a failover every connection of the pool can be.
const TRIES: usize = 3;

/// The connections for reading.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: Pool,
}

impl Readers {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Returns the rows of a statement.
    pub(crate) async fn rows(&self, query: &SqlQuery) -> Result<Vec<Row>, PostgresError> {
        let answers = self.together(std::slice::from_ref(query)).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
    }

    /// Returns the row of a statement that has at most one.
    pub(crate) async fn row(&self, query: &SqlQuery) -> Result<Option<Row>, PostgresError> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Returns the rows of several statements from one snapshot, in one round trip.
    pub(crate) async fn together(
        &self,
        queries: &[SqlQuery],
    ) -> Result<Vec<Vec<Row>>, PostgresError> {
        if queries.is_empty() {
            return Ok(Vec::new());
        }
        for _ in 1..TRIES {
            match self.read(queries).await {
                // The other connections of the pool are probably lost too.
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

/// Returns the rows of several statements from one snapshot.
pub(crate) async fn read(
    client: &Client,
    queries: &[SqlQuery],
) -> Result<Vec<Vec<Row>>, PostgresError> {
    let mut statements = Vec::with_capacity(queries.len());
    for query in queries {
        statements.push(client.prepare_cached(&query.sql).await?);
    }
    // A single statement sees one snapshot anyway.
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

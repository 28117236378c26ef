//! Sends several statements in one round trip, without waiting for the answers in between.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool_postgres::Client;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use crate::error::PostgresError;

/// How long to wait for an answer before the server counts as lost. Longer than the server lets any statement run.
const PATIENCE: Duration = Duration::from_secs(35);

/// A value for a parameter of a statement.
pub(crate) type Parameter = Box<dyn ToSql + Sync + Send>;

/// Boxes the values of one statement.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::pipeline::Parameter),*]
    };
}
pub(crate) use parameters;

/// The statements sent so far, in order, and the answers to them.
pub(crate) struct Pipeline<'c> {
    client: &'c Client,
    sent: Vec<Sent<'c>>,
}

enum Sent<'c> {
    Waiting(BoxFuture<'c, Result<Vec<Row>, Error>>),
    Answered(Result<Vec<Row>, Error>),
}

impl<'c> Pipeline<'c> {
    pub(crate) fn new(client: &'c Client) -> Self {
        Self { client, sent: Vec::new() }
    }

    /// Sends a prepared statement.
    pub(crate) fn ask(&mut self, statement: Statement, parameters: Vec<Parameter>) {
        let client = self.client;
        self.send(Box::pin(async move {
            let parameters: Vec<&(dyn ToSql + Sync)> =
                parameters.iter().map(|parameter| &**parameter as &(dyn ToSql + Sync)).collect();
            client.query(&statement, &parameters).await
        }));
    }

    /// Sends a command without parameters or rows.
    pub(crate) fn command(&mut self, command: &'static str) {
        let client = self.client;
        self.send(Box::pin(
            async move { client.batch_execute(command).await.map(|()| Vec::new()) },
        ));
    }

    /// Polling the future once sends the statement.
    fn send(&mut self, mut asked: BoxFuture<'c, Result<Vec<Row>, Error>>) {
        let sent = match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Sent::Answered(answer),
            Poll::Pending => Sent::Waiting(asked),
        };
        self.sent.push(sent);
    }

    /// Returns the rows of each statement, in order.
    pub(crate) async fn answers(self) -> Result<Vec<Vec<Row>>, PostgresError> {
        let answers = async {
            let mut answers = Vec::with_capacity(self.sent.len());
            for sent in self.sent {
                answers.push(match sent {
                    Sent::Answered(answer) => answer?,
                    Sent::Waiting(asked) => asked.await?,
                });
            }
            Ok(answers)
        };
        patiently(answers).await
    }
}

/// Waits for an answer. If the server does not answer in time, the connection counts as lost.
pub(crate) async fn patiently<T>(
    asked: impl Future<Output = Result<T, PostgresError>>,
) -> Result<T, PostgresError> {
    timeout(PATIENCE, asked).await.unwrap_or(Err(PostgresError::Lost))
}

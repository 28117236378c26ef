//! Writes, through a few lanes. A lane commits all waiting requests as one transaction.

mod begin;
mod commit_outcome;
mod context;
mod customers;
mod insert_outcome;
mod lane;
mod references;
mod request;
mod statements;
mod tally;
mod unit;
mod values;
mod writer;

pub(crate) use context::StoreContext;
pub(crate) use customers::Customers;
pub(crate) use request::Rows;
pub(crate) use unit::Unit;
pub(crate) use writer::Writer;

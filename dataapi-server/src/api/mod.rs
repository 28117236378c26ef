//! The handlers of the routes, one file for each resource. A handler parses the request, calls the store and renders
//! the answer; its documentation is the route's part of the API's description.

#![allow(clippy::unused_async, reason = "the router calls all handlers in the same way")]

pub(crate) mod answer;
pub(crate) mod changes;
pub(crate) mod consents;
pub(crate) mod customers;
pub(crate) mod dialogs;
pub(crate) mod docs;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
pub(crate) mod stats;
pub(crate) mod version;

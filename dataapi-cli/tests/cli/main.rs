//! Runs the program: its output, its exit codes, and what it leaves in the store.

mod audit;
mod backup;
mod copy;
mod doctor;
mod exit_codes;
mod import;
#[cfg(unix)]
mod interruption;
mod keys;
mod manual;
mod postgres;
mod reading;
mod round_trip;
mod sandbox;
mod scenes;
mod secrets;
mod subject;
mod sync;
mod tending;

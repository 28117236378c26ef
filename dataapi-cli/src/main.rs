//! `dataapi`: a store's command line, for operators, analysts and scripts.

mod args;
mod commands;
mod context;
mod error;
mod events;
mod exchange;
mod exit;
mod intake;
mod interrupt;
mod output;
mod phrases;
mod progress;
mod source;
mod terminal;

/// An import and an export make and drop some ten values a dialog, on one thread and on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    commands::main().into()
}

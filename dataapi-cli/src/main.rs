//! `dataapi`: a store's command line, for operators, analysts and scripts.

mod args;
mod commands;
mod context;
mod exchange;
mod exit;
mod intake;
mod interrupt;
mod output;
mod phrases;
mod progress;
mod terminal;

fn main() -> std::process::ExitCode {
    commands::main().into()
}

//! `poolctl`: runs pools of Gemini API keys from the terminal and from CI.
//!
//! In: the command line, the environment, a config folder. Out: results on stdout, everything else
//! on stderr, an exit code. The work is done in `commands`, one file a noun or a verb.

#![forbid(unsafe_code)]

mod app;
mod client;
mod commands;
mod config;
mod ctx;
mod describe;
mod env;
mod error;
mod flags;
mod input;
mod interrupt;
mod key_check;
mod key_import;
mod output;
mod top;

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(app::main(std::env::args_os().collect(), &env::Env::from_process()) as u8)
}

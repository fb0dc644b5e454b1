//! `poolctl top`: the dashboard.
//!
//! Messages come in (keys, the clock, answers), [`update`] turns them into the next [`model`] and into
//! commands, [`view`] draws the model: both are pure. [`runtime`] alone waits, asks and writes;
//! [`terminal`] gives the terminal back however the program ends. [`once`] writes the same rows
//! where there is no terminal.

mod change;
mod columns;
mod data;
mod fetch;
mod filter;
#[cfg(test)]
mod fixture;
mod format;
pub mod keymap;
mod layout;
mod list;
mod message;
pub mod model;
pub mod once;
mod poll;
mod record;
pub mod runtime;
mod schedule;
mod state;
pub mod terminal;
mod theme;
mod update;
mod value;
mod view;

pub use self::{list::Tab, theme::Theme};

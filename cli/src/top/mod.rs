//! `poolctl top`: the terminal dashboard.
//!
//! [`update`] turns messages (keys, timer, responses) into the next [`model`] and commands;
//! [`view`] draws the model. Both are pure. Only [`runtime`] waits, sends requests and writes.
//! [`terminal`] restores the terminal however the program ends. [`once`] writes the same rows as
//! text.

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

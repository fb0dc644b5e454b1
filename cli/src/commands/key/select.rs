//! Selection of keys: ids, ids on standard input, or a filter.
//!
//! A filter is resolved to ids before the confirmation, so that only the listed keys are changed,
//! even if the pool changes meanwhile.

use std::{collections::HashSet, io::Read};

use clap::builder::NonEmptyStringValueParser;
use pool_shared::{KeyId, KeyState};

use crate::{
    client::KeyFilter,
    ctx::Ctx,
    error::{CliError, Code},
    flags::{Confirm, PoolRef},
};

/// Filter flags.
#[derive(clap::Args)]
pub struct FilterArgs {
    /// Keys with this text in their name, tag, masked form, fingerprint or id
    // An empty text would match every key; most likely a shell variable is not set.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    search: Option<String>,
    /// Keys with exactly this tag
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    tag: Option<String>,
    /// Keys in this state; can be repeated [states: healthy, cooling, limited, suspect, invalid,
    /// leaked, suspended, billing, blocked, disabled]
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<KeyState>,
    /// Only enabled keys
    #[arg(long, conflicts_with = "disabled")]
    enabled: bool,
    /// Only disabled keys
    #[arg(long)]
    disabled: bool,
}

impl FilterArgs {
    /// Returns the filter for the service.
    pub fn get(&self) -> KeyFilter {
        let enabled = match (self.enabled, self.disabled) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        KeyFilter { search: self.search.clone(), enabled, tag: self.tag.clone(), states: self.state.clone() }
    }
}

/// Arguments of commands that change keys.
#[derive(clap::Args)]
pub struct SelectArgs {
    /// The pool's name or id
    #[arg(value_name = "POOL", required_unless_present = "pool")]
    first: Option<String>,
    /// Ids of keys as key list shows them, - for ids on standard input
    #[arg(value_name = "ID")]
    rest: Vec<String>,
    /// The pool, as a flag; then every argument is an id
    #[arg(long, value_name = "POOL")]
    pool: Option<PoolRef>,
    /// Every key of the pool
    #[arg(long, conflicts_with_all = ["search", "tag", "state", "enabled", "disabled"])]
    all: bool,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    pub confirm: Confirm,
}

/// The selection before any request.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// These keys.
    Ids(Vec<KeyId>),
    /// Keys that match.
    Filter(KeyFilter),
}

impl SelectArgs {
    /// Returns the pool and the selection.
    pub async fn get(&self, ctx: &Ctx) -> Result<(PoolRef, Selection), CliError> {
        let mut words: Vec<&str> = self.first.iter().chain(&self.rest).map(String::as_str).collect();
        let pool = match &self.pool {
            Some(pool) => pool.clone(),
            None if words.is_empty() => return Err(CliError::usage("no pool given")),
            None => words.remove(0).parse().map_err(|error| CliError::usage(format!("{error}")))?,
        };
        let filter = self.filter.get();
        let by_filter = self.all || filter != KeyFilter::default();
        match (words.as_slice(), by_filter) {
            ([], false) => Err(CliError::usage("no keys selected")
                .hint("use ids, - for ids on standard input, --search, --tag, --state, --enabled, --disabled or --all")),
            ([], true) => Ok((pool, Selection::Filter(filter))),
            (_, true) => Err(CliError::usage("ids and filters cannot be combined")),
            (["-"], false) => Ok((pool, Selection::Ids(ids(&stdin(ctx).await?)?))),
            (words, false) if words.contains(&"-") => {
                Err(CliError::usage("ids as arguments and - for standard input cannot be combined"))
            }
            (words, false) => Ok((pool, Selection::Ids(ids(&words.join(" "))?))),
        }
    }
}

async fn stdin(ctx: &Ctx) -> Result<String, CliError> {
    let task = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map(|_| text)
    });
    match ctx.interrupt.wait(task).await? {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => {
            Err(CliError::usage("cannot read ids from standard input").cause(error.to_string()))
        }
        Err(_) => Err(CliError::new(Code::Local, "cannot read standard input")),
    }
}

/// Parses ids separated by white space, without duplicates. An invalid id may be a pasted key, so
/// it is neither sent nor shown.
pub fn ids(text: &str) -> Result<Vec<KeyId>, CliError> {
    let mut seen = HashSet::new();
    let mut ids = Vec::new();
    for (position, word) in (1..).zip(text.split_whitespace()) {
        if !word.starts_with(KeyId::PREFIX) {
            return Err(CliError::usage(format!("invalid key id at position {position}"))
                .cause(format!("ids start with {}", KeyId::PREFIX))
                .hint("poolctl key list POOL"));
        }
        if seen.insert(word) {
            ids.push(KeyId::new(word));
        }
    }
    if ids.is_empty() { Err(CliError::usage("no ids on standard input")) } else { Ok(ids) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_once_and_in_order() {
        let found = ids("key-b\n key-a\tkey-b\r\n").unwrap();
        assert_eq!(found, [KeyId::new("key-b"), KeyId::new("key-a")]);
        assert_eq!(ids(" \n").unwrap_err().exit() as u8, 2);
    }

    #[test]
    fn a_key_in_the_place_of_an_id_is_not_repeated() {
        let error = ids("key-a AIzaSyA-canary").unwrap_err();
        assert!(
            error.to_string().starts_with("invalid key id at position 2")
                && !error.to_string().contains("canary")
        );
    }
}

//! Gemini's lists of models as Gemini wrote them, for clients that ask in its own language.
//!
//! A list changes weekly and costs a call each time that it is asked for, so each page is kept for an hour, by the path
//! and query that it came from: what is asked for in another way (`pageSize`, `fields`) is another page.
//!
//! # Invariants
//!
//! - The bytes are Gemini's.
//! - A page is of the pool as it is now: with other keys it may have other models.
//! - The memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use pool_shared::PoolId;

const TTL: Duration = Duration::from_hours(1);
/// The longest page that is kept; a model takes some 600 bytes.
const LONGEST: usize = 1024 * 1024;
/// Bytes of all pages together.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Pages kept at the same time, of all pools.
const MAX_PAGES: usize = 500;

/// A page of a list of models, or one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelPageText {
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

/// A pool and its version.
pub(crate) type PoolAt<'a> = (&'a PoolId, u64);

/// See the module.
#[derive(Debug, Default)]
pub struct ModelPages(HashMap<(PoolId, String), Kept>);

#[derive(Debug)]
struct Kept {
    page: ModelPageText,
    read_at: Timestamp,
    /// The pool's version then.
    version: u64,
}

impl Kept {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.read_at).unsigned_abs() < TTL
    }
}

impl ModelPages {
    /// Returns what Gemini lately answered to a path and query.
    pub(crate) fn get(&self, pool: PoolAt, path: &str, now: Timestamp) -> Option<ModelPageText> {
        let kept = self.0.get(&(pool.0.clone(), path.to_owned()))?;
        (kept.is_fresh(now) && kept.version == pool.1).then(|| kept.page.clone())
    }

    /// Keeps what Gemini answered.
    pub(crate) fn keep(&mut self, pool: PoolAt, path: String, page: ModelPageText, now: Timestamp) {
        if page.body.len() > LONGEST {
            return;
        }
        let name = (pool.0.clone(), path);
        self.0.remove(&name);
        if !self.has_room(page.body.len()) {
            self.0.retain(|_, kept| kept.is_fresh(now));
        }
        if !self.has_room(page.body.len()) {
            self.0.clear();
        }
        self.0.insert(name, Kept { page, read_at: now, version: pool.1 });
    }

    fn has_room(&self, bytes: usize) -> bool {
        let held: usize = self.0.values().map(|kept| kept.page.body.len()).sum();
        self.0.len() < MAX_PAGES && held + bytes <= MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> ModelPageText {
        ModelPageText { body: text.to_owned().into(), content_type: None }
    }

    #[test]
    fn a_page_is_kept_for_an_hour_by_pool_and_query() {
        let (mut pages, id, other) = (ModelPages::default(), PoolId::new("pool-a"), PoolId::new("pool-b"));
        let (pool, now) = ((&id, 1), Timestamp::UNIX_EPOCH);
        pages.keep(pool, "/models".to_owned(), page("x"), now);
        assert_eq!(pages.get(pool, "/models", now + TTL - Duration::from_secs(1)), Some(page("x")));
        assert_eq!(pages.get(pool, "/models", now + TTL), None);
        assert_eq!(pages.get(pool, "/models?pageSize=2", now), None);
        assert_eq!(pages.get((&other, 1), "/models", now), None);
        assert_eq!(pages.get((&id, 2), "/models", now), None, "its keys may have changed");
    }

    #[test]
    fn it_is_bounded() {
        let (mut pages, id) = (ModelPages::default(), PoolId::new("pool-a"));
        let pool = (&id, 1);
        let long = "x".repeat(LONGEST);
        for number in 0..3 * MAX_PAGES {
            let text = if number % 7 == 0 { &long } else { "x" };
            pages.keep(pool, number.to_string(), page(text), Timestamp::UNIX_EPOCH);
            let held: usize = pages.0.values().map(|kept| kept.page.body.len()).sum();
            assert!(pages.0.len() <= MAX_PAGES && held <= MAX_BYTES);
        }
        pages.keep(pool, "long".to_owned(), page(&"x".repeat(LONGEST + 1)), Timestamp::UNIX_EPOCH);
        assert_eq!(pages.get(pool, "long", Timestamp::UNIX_EPOCH), None);
    }
}

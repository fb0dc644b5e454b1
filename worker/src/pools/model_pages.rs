//! Cache of Gemini's model list pages for pass-through, byte for byte.
//!
//! Lists change weekly and cost an upstream request, so each page is cached for an hour by path
//! and query.
//!
//! # Invariants
//! - The bytes are Gemini's.
//! - A page belongs to the pool's current version, because other keys may have other models.
//! - The memory is bounded.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use pool_shared::PoolId;

const TTL: Duration = Duration::from_hours(1);
/// Maximum size of a cached page; a model takes some 600 bytes.
const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// Maximum size of all pages.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of pages of all pools.
const MAX_PAGES: usize = 500;

/// A page of a model list, or one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelPageText {
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

/// A pool and its version.
pub(crate) type PoolAt<'a> = (&'a PoolId, u64);

/// The page cache.
#[derive(Debug, Default)]
pub struct ModelPages(HashMap<(PoolId, String), CachedPage>);

#[derive(Debug)]
struct CachedPage {
    page: ModelPageText,
    read_at: Timestamp,
    /// The pool's version at that time.
    version: u64,
}

impl CachedPage {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now.duration_since(self.read_at).unsigned_abs() < TTL
    }
}

impl ModelPages {
    /// Returns the cached response to a path and query.
    pub(crate) fn get(&self, pool: PoolAt, path: &str, now: Timestamp) -> Option<ModelPageText> {
        let cached = self.0.get(&(pool.0.clone(), path.to_owned()))?;
        (cached.is_fresh(now) && cached.version == pool.1).then(|| cached.page.clone())
    }

    /// Inserts a response. Makes room by removing expired pages, then all.
    pub(crate) fn insert(&mut self, pool: PoolAt, path: String, page: ModelPageText, now: Timestamp) {
        if page.body.len() > MAX_PAGE_BYTES {
            return;
        }
        let name = (pool.0.clone(), path);
        self.0.remove(&name);
        if !self.fits(page.body.len()) {
            self.0.retain(|_, cached| cached.is_fresh(now));
        }
        if !self.fits(page.body.len()) {
            self.0.clear();
        }
        self.0.insert(name, CachedPage { page, read_at: now, version: pool.1 });
    }

    fn fits(&self, bytes: usize) -> bool {
        let held: usize = self.0.values().map(|cached| cached.page.body.len()).sum();
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
        pages.insert(pool, "/models".to_owned(), page("x"), now);
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
        let long = "x".repeat(MAX_PAGE_BYTES);
        for number in 0..3 * MAX_PAGES {
            let text = if number % 7 == 0 { &long } else { "x" };
            pages.insert(pool, number.to_string(), page(text), Timestamp::UNIX_EPOCH);
            let held: usize = pages.0.values().map(|cached| cached.page.body.len()).sum();
            assert!(pages.0.len() <= MAX_PAGES && held <= MAX_BYTES);
        }
        pages.insert(pool, "long".to_owned(), page(&"x".repeat(MAX_PAGE_BYTES + 1)), Timestamp::UNIX_EPOCH);
        assert_eq!(pages.get(pool, "long", Timestamp::UNIX_EPOCH), None);
    }
}

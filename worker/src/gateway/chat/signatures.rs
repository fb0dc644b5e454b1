//! LRU cache of thought signatures, for clients that do not send them back.
//!
//! Holds the signature of a call, and the Gemini key that it was made with. Entries belong to one client
//! key, so that no client can use another one's signatures. Memory is bounded.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::KeyId;

use super::super::Context;
use crate::gateway::Gateway;
use crate::platform::Clock;
use crate::platform::lock;
use crate::ports::Host;
use pool_translate::openai::ChatRequest;
use pool_translate::{CallSignature, SignatureCache};

/// Time for which a conversation may pause.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// An isolate has 128 MB in total.
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_ENTRIES: usize = 20_000;
/// Real signatures have a few kilobytes.
const MAX_SIGNATURE: usize = 64 * 1024;

/// The signatures of one instance; the oldest are evicted first.
#[derive(Debug, Default)]
pub struct SignatureMemory {
    entries: HashMap<Arc<str>, Entry>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    signature: String,
    /// Key of the response, if known.
    made_by: Option<KeyId>,
}

impl SignatureMemory {
    fn get(&self, name: &str, now: Timestamp) -> Option<&Entry> {
        let entry = self.entries.get(name)?;
        (now.duration_since(entry.at).unsigned_abs() < KEPT_FOR).then_some(entry)
    }

    fn insert(&mut self, name: &str, signature: String, made_by: Option<KeyId>, now: Timestamp) {
        if name.len() + signature.len() > MAX_SIGNATURE {
            return;
        }
        self.remove(name);
        let name: Arc<str> = name.into();
        self.bytes += name.len() + signature.len();
        self.order.push_back(Arc::clone(&name));
        self.entries.insert(name, Entry { at: now, signature, made_by });
        while self.bytes > MAX_BYTES || self.order.len() > MAX_ENTRIES {
            let Some(oldest) = self.order.front().cloned() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(Entry { signature, .. }) = self.entries.remove(name) {
            self.bytes -= name.len() + signature.len();
            // Nearly always the oldest, except for a repeated id.
            if let Some(place) = self.order.iter().position(|known| **known == *name) {
                self.order.remove(place);
            }
        }
    }
}

/// Access to the signatures of one client key, during one request.
pub(in crate::gateway) struct OwnSignatures {
    gateway: Arc<Gateway>,
    owner: String,
    now: Timestamp,
    made_by: Option<KeyId>,
}

impl OwnSignatures {
    pub(super) fn of<H: Host>(context: &Context<'_, H>) -> Self {
        Self {
            gateway: Arc::clone(context.plane),
            owner: context
                .client_key
                .as_ref()
                .map_or_else(|| context.pool.id.as_str().to_owned(), |key| key.as_str().to_owned()),
            now: context.host.clock().now(),
            made_by: None,
        }
    }

    /// Sets the key that the signatures to remember are made with.
    pub(super) fn made_by(self, key: KeyId) -> Self {
        Self { made_by: Some(key), ..self }
    }

    /// Returns the key that made the signature of the last call in a request, if known.
    pub(super) fn maker(&self, request: &ChatRequest<'_>) -> Option<KeyId> {
        let memory = lock(&self.gateway.signatures);
        let calls =
            request.messages().iter().rev().flat_map(|message| message.tool_calls.iter().flatten().rev());
        let mut makers = calls.filter_map(|call| {
            let (id, function) = (call.id.as_deref()?, call.function.as_ref()?);
            let id = id.split("__thought__").next().unwrap_or(id);
            memory.get(&self.name(id, &function.name), self.now)?.made_by.clone()
        });
        makers.next()
    }

    /// Remembers the signatures of a response.
    pub(in crate::gateway) fn remember(&self, signatures: Vec<CallSignature>) {
        for CallSignature { call_id, function, signature } in signatures {
            let name = self.name(&call_id, &function);
            lock(&self.gateway.signatures).insert(&name, signature, self.made_by.clone(), self.now);
        }
    }

    fn name(&self, call_id: &str, function: &str) -> String {
        // The owner ends at the first line break, whatever an id contains.
        format!("{}\n{function}\n{call_id}", self.owner)
    }
}

impl fmt::Debug for OwnSignatures {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("OwnSignatures").finish_non_exhaustive()
    }
}

impl SignatureCache for OwnSignatures {
    fn signature(&self, call_id: &str, function: &str) -> Option<String> {
        let memory = lock(&self.gateway.signatures);
        memory.get(&self.name(call_id, function), self.now).map(|entry| entry.signature.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_what_is_old_and_holds_no_more_than_it_may() {
        let now = Timestamp::UNIX_EPOCH;
        let mut memory = SignatureMemory::default();
        memory.insert("a", "one".to_owned(), None, now);
        memory.insert("a", "two".to_owned(), None, now);
        assert_eq!(
            (memory.get("a", now).map(|entry| entry.signature.as_str()), memory.bytes),
            (Some("two"), 4)
        );
        assert!(memory.get("a", now + KEPT_FOR).is_none());
        memory.insert("long", "x".repeat(MAX_SIGNATURE), None, now);
        assert!(memory.get("long", now).is_none());
        for number in 0..MAX_ENTRIES + 5 {
            memory.insert(&format!("call {number}"), "x".repeat(number % 3_000), None, now);
            assert!(memory.bytes <= MAX_BYTES && memory.order.len() <= MAX_ENTRIES);
            assert_eq!(memory.entries.len(), memory.order.len());
        }
        let last = MAX_ENTRIES + 4;
        assert!(memory.get(&format!("call {last}"), now).is_some());
        assert!(memory.get("call 0", now).is_none());
    }
}

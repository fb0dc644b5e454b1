//! The thought signatures of calls that went through here, for clients that do not send them back.
//!
//! In: the signatures of an answer. Out: the one of a call, when the conversation goes on. Each client
//! key has its own, so that no caller can use what another one's model thought. What must never happen
//! here: more memory than is set aside, whatever comes.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::Context;
use crate::host::{Clock, Host};
use crate::service::{Service, lock};
use crate::translate::{CallSignature, SignatureCache};

/// How long a conversation may rest.
const KEPT_FOR: Duration = Duration::from_hours(24);
/// An isolate has 128 MB for everything.
const MOST_BYTES: usize = 16 * 1024 * 1024;
const MOST_ENTRIES: usize = 20_000;
/// Real ones have some kilobytes.
const LONGEST: usize = 64 * 1024;

/// The signatures that an isolate or process remembers, the oldest first to go.
#[derive(Debug, Default)]
pub struct SignatureMemory {
    entries: HashMap<Arc<str>, (Timestamp, String)>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl SignatureMemory {
    fn get(&self, name: &str, now: Timestamp) -> Option<String> {
        let (at, signature) = self.entries.get(name)?;
        (now.duration_since(*at).unsigned_abs() < KEPT_FOR).then(|| signature.clone())
    }

    fn insert(&mut self, name: &str, signature: String, now: Timestamp) {
        if name.len() + signature.len() > LONGEST {
            return;
        }
        self.remove(name);
        let name: Arc<str> = name.into();
        self.bytes += name.len() + signature.len();
        self.order.push_back(Arc::clone(&name));
        self.entries.insert(name, (now, signature));
        while self.bytes > MOST_BYTES || self.order.len() > MOST_ENTRIES {
            let Some(oldest) = self.order.front().cloned() else { return };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some((_, signature)) = self.entries.remove(name) {
            self.bytes -= name.len() + signature.len();
            // Nearly always the oldest; otherwise an id came twice.
            if let Some(place) = self.order.iter().position(|known| **known == *name) {
                self.order.remove(place);
            }
        }
    }
}

/// The signatures of one client key, during one request.
pub(in crate::gateway) struct OwnSignatures {
    service: Arc<Service>,
    owner: String,
    now: Timestamp,
}

impl OwnSignatures {
    pub(super) fn of<H: Host>(context: &Context<'_, H>) -> Self {
        Self {
            service: Arc::clone(context.service),
            owner: context
                .client_key
                .as_ref()
                .map_or_else(|| context.pool.id.as_str().to_owned(), |key| key.as_str().to_owned()),
            now: context.host.clock().now(),
        }
    }

    /// Remembers the signatures of an answer.
    pub(in crate::gateway) fn remember(&self, signatures: Vec<CallSignature>) {
        for CallSignature { call_id, function, signature } in signatures {
            let name = self.name(&call_id, &function);
            lock(&self.service.signatures).insert(&name, signature, self.now);
        }
    }

    fn name(&self, call_id: &str, function: &str) -> String {
        // Up to the first line break it is the owner, whatever callers write.
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
        lock(&self.service.signatures).get(&self.name(call_id, function), self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_what_is_old_and_holds_no_more_than_it_may() {
        let now = Timestamp::UNIX_EPOCH;
        let mut memory = SignatureMemory::default();
        memory.insert("a", "one".to_owned(), now);
        memory.insert("a", "two".to_owned(), now);
        assert_eq!((memory.get("a", now).as_deref(), memory.bytes), (Some("two"), 4));
        assert_eq!(memory.get("a", now + KEPT_FOR), None);
        memory.insert("long", "x".repeat(LONGEST), now);
        assert_eq!(memory.get("long", now), None);
        for number in 0..MOST_ENTRIES + 5 {
            memory.insert(&format!("call {number}"), "x".repeat(number % 3_000), now);
            assert!(memory.bytes <= MOST_BYTES && memory.order.len() <= MOST_ENTRIES);
            assert_eq!(memory.entries.len(), memory.order.len());
        }
        let last = MOST_ENTRIES + 4;
        assert!(memory.get(&format!("call {last}"), now).is_some());
        assert_eq!(memory.get("call 0", now), None);
    }
}

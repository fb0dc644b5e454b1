//! The cap on open connections, and which one makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::activity::{Activity, FIRST_REQUEST_GRACE};
use crate::platform::lock;

/// Descriptors for everything that is no connection: standard streams, the listener, the runtime, the database, the lock.
const RESERVED_FILES: u64 = 20;
/// More connections than this need another machine.
const MAX_CONNECTIONS: u64 = 65_536;

/// Returns how many connections a process may hold that may open so many files: half of what is left, since each may
/// need one to Gemini.
pub(super) fn allowed_with(files: u64) -> usize {
    let connections = (files.saturating_sub(RESERVED_FILES) / 2).clamp(1, MAX_CONNECTIONS);
    usize::try_from(connections).unwrap_or(1)
}

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    open: Mutex<Open>,
    freed: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Open {
    by_number: BTreeMap<u64, Arc<Activity>>,
    last: u64,
    /// The highest number of them so far.
    peak: usize,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default(), freed: Arc::default() })
    }

    /// Returns how many are open, and how many were at most.
    pub(super) fn counts(&self) -> (usize, usize) {
        let open = lock(&self.open);
        (open.by_number.len(), open.peak)
    }

    /// Returns how many may be.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Resolves when there is room for one more. If necessary, the connection is closed that has been without a request for
    /// longest. It counts until it is closed: its request may come in before.
    pub(super) async fn room(&self) {
        while !self.make_room() {
            // A new connection may have become old enough meanwhile.
            let _ = tokio::time::timeout(FIRST_REQUEST_GRACE, self.freed.notified()).await;
        }
    }

    /// Notes a connection, until the slot is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Slot {
        let activity = Arc::new(Activity::new(Arc::clone(&self.freed)));
        let mut open = lock(&self.open);
        open.last += 1;
        let number = open.last;
        open.by_number.insert(number, Arc::clone(&activity));
        open.peak = open.peak.max(open.by_number.len());
        Slot { connections: Arc::clone(self), number, activity }
    }

    fn make_room(&self) -> bool {
        let open = lock(&self.open);
        if open.by_number.len() < self.most {
            return true;
        }
        let waiting = |activity: &Arc<Activity>| Some((activity.waiting_since()?, Arc::clone(activity)));
        let waiting: Vec<_> = open.by_number.values().filter_map(waiting).collect();
        if waiting.iter().any(|(_, activity)| activity.is_evicted()) {
            // It is about to be closed.
            return false;
        }
        if let Some((_, activity)) = waiting.iter().min_by_key(|(since, _)| *since) {
            activity.evict();
        }
        false
    }
}

/// An open connection's place among them.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    number: u64,
    pub(super) activity: Arc<Activity>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.connections.open).by_number.remove(&self.number);
        self.connections.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn half_of_the_descriptors_are_kept_for_calls_to_gemini() {
        assert_eq!(
            [0, 64, 256, 20_000, u64::MAX].map(allowed_with),
            [1, 22, 118, 9_990, usize::try_from(MAX_CONNECTIONS).unwrap()]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_for_longest_makes_room_and_whoever_works_never_does() {
        let connections = Connections::new(3);
        let second = Duration::from_secs(1);
        let mut slots = Vec::new();
        for _ in 0..3 {
            connections.room().await;
            slots.push(connections.open());
            tokio::time::advance(second).await;
        }
        let [silent, idle, busy] = slots.try_into().unwrap();
        drop(idle.activity.request(false));
        let running = busy.activity.request(false);
        let close = async |slot: Slot| {
            slot.activity.evicted().await;
            drop(slot);
        };
        tokio::join!(connections.room(), close(silent));
        let later = connections.open();
        let other = later.activity.request(false);
        tokio::join!(connections.room(), close(idle));
        let last = connections.open();
        let third = last.activity.request(false);
        assert_eq!(connections.counts(), (3, 3));
        // Everybody works: the next one waits until somebody has ended.
        assert!(tokio::time::timeout(second, connections.room()).await.is_err());
        drop((running, other));
        tokio::join!(connections.room(), close(busy));
        drop((later, third, last));
        assert_eq!(connections.counts().0, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_whose_request_comes_when_it_is_to_be_closed() {
        let connections = Connections::new(2);
        let (first, second) = (connections.open(), connections.open());
        let _busy = second.activity.request(false);
        let second_long = Duration::from_secs(1);
        assert!(tokio::time::timeout(second_long, connections.room()).await.is_err());
        // It was told, and has a request by now.
        let running = first.activity.request(false);
        assert!(tokio::time::timeout(second_long, connections.room()).await.is_err());
        assert_eq!(connections.counts(), (2, 2));
        drop(running);
        let close = async {
            first.activity.evicted().await;
            drop(first);
        };
        tokio::join!(connections.room(), close);
    }
}

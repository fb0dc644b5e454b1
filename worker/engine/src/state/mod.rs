//! The state of one pool's keys in an instance: health, cooldowns, quotas and running attempts.
//!
//! [`PoolState::pick`] selects a key and returns a lease, [`PoolState::finish`] takes the lease back with
//! the result of the attempt, and [`PoolState::drain_observations`] returns what other instances need to
//! know. The state is kept by key id, so it outlives the snapshots that it is used with.
//!
//! # Invariants
//!
//! - Only Gemini's responses and an operator's reset change the state of a key.
//! - No I/O, no clock: the time is a parameter.

mod merge;
mod observe;
mod shift;
mod types;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::KeyId;

use super::health::HealthState;
use super::key_set::KeySet;
use super::key_table::KeyTable;
use super::observation::{Observation, ObservationKind, Subject};
use super::quota::Cost;
use super::rate_limiter::RateLimiter;
use super::selector::{Block, Exhausted, ModelSelector, Selection};
use crate::random::Random;

pub use types::{AttemptEnd, KeyState, Lease, Pick, PickRequest};

/// Models that a pool keeps cooldowns and counts for; the least recently used one is evicted. At 6 bytes a key and model, 12 where a key has the weight 0.
const MAX_SELECTORS: usize = 32;
/// An attempt that has not ended after this time was lost with its request.
const LEASE_TTL: Duration = Duration::from_mins(10);
/// Observations that wait for a report. The oldest are dropped; other instances then observe them themselves.
const MAX_OBSERVATIONS: usize = 4_096;

/// The state of one pool's keys.
#[derive(Debug, Default)]
pub struct PoolState {
    version: Option<u64>,
    table: KeyTable,
    selectors: HashMap<String, ModelSelector>,
    /// The key's place and the beginning of each running attempt.
    leases: BTreeMap<u64, (usize, Timestamp)>,
    last_serial: u64,
    observations: Vec<Observation>,
    /// Observations of other instances that arrived before the keys were known.
    deferred: Vec<Observation>,
    spent: BTreeMap<(Subject, String), Cost>,
    rate_limiter: RateLimiter,
    /// The projects that fell by a spend limit in the last minute: when, and what Gemini said.
    spent_out: Vec<(usize, Timestamp, String)>,
    /// Random bits of this instance, for the jitter of recovery.
    salt: u64,
}

impl PoolState {
    /// Selects a key of the key set for an attempt.
    pub fn pick(
        &mut self,
        key_set: &Arc<KeySet>,
        request: &PickRequest,
        now: Timestamp,
        random: &impl Random,
    ) -> Pick {
        if self.salt == 0 {
            self.salt = random.next_u64();
        }
        self.adopt_key_set(key_set, now);
        self.expire_leases(now);
        let older = self.version != Some(key_set.version);
        let mut tried = self.places(key_set, request.tried, older);
        let selector = selector_of(&mut self.selectors, &self.table, request.model, now);
        selector.release_expired(&self.table, now);
        if let Err((until, reason)) = selector.circuit.check(now) {
            return Pick::Open { until, reason };
        }
        loop {
            let selection = Selection {
                tried: &tried,
                affinity: request.affinity,
                cost: request.cost,
                salt: self.salt,
                now,
            };
            let key = match selector.select(&self.table, &selection, random) {
                Ok(key) => key,
                Err(Exhausted::Tried) => return Pick::AllTried,
                Err(Exhausted::Lost { returns }) => return Pick::NoneLeft { returns },
                Err(Exhausted::Cooling { soonest, all_until_reset }) => {
                    return Pick::AllCooling { soonest, all_until_reset };
                }
            };
            let index = if older { self.table.id(key).and_then(|id| key_set.find(&id)) } else { Some(key) };
            // A key that this request's key set does not have yet is skipped.
            let Some(index) = index else {
                tried.push(key);
                continue;
            };
            selector.circuit.attempt(now);
            return match self.lease(key, request.model, request.cost, now) {
                Some(lease) => Pick::Key { index, lease },
                None => Pick::NoneLeft { returns: None },
            };
        }
    }

    /// When a request that has tried some keys may find another one that is usable for the model: `now` if there is
    /// one, `None` if no time is known.
    pub fn next_chance(
        &mut self,
        key_set: &Arc<KeySet>,
        model: &str,
        tried: &[usize],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let tried = self.places(key_set, tried, self.version != Some(key_set.version));
        let selector = self.selectors.get_mut(model)?;
        selector.release_expired(&self.table, now);
        if selector.has_untried(&tried) {
            return Some(now);
        }
        match selector.exhausted(&self.table, now) {
            Exhausted::Cooling { soonest, .. } => Some(soonest),
            Exhausted::Lost { returns } => returns,
            Exhausted::Tried => None,
        }
    }

    /// Returns a lease for trying one certain key, in use or not; `None` if the pool does not have it any more.
    ///
    /// It has to be used for a request that counts against a quota: Gemini lists models also for keys that it
    /// rejects otherwise, and a success makes a key healthy.
    pub fn check(&mut self, key: &KeyId, model: &str, cost: Cost, now: Timestamp) -> Option<Lease> {
        let place = self.table.find(key)?;
        let lease = self.lease(place, model, cost, now)?;
        // The check begins after every earlier observation, also where the clock does not advance.
        let observed_at = self.table.observed_at(place);
        let after = observed_at.checked_add(Duration::from_nanos(1)).unwrap_or(observed_at);
        Some(Lease { began: now.max(after), ..lease })
    }

    /// Makes the pool's keys known, as [`Self::pick`] does.
    pub fn register_keys(&mut self, key_set: &Arc<KeySet>, now: Timestamp) {
        self.adopt_key_set(key_set, now);
    }

    /// Returns `true` if a key should be tried again now, or may have to be as soon as the keys are known.
    #[must_use]
    pub fn has_due_rechecks(&self, now: Timestamp) -> bool {
        let told = |observation: &Observation| matches!(observation.fact, ObservationKind::Health { next_check: Some(check), .. } if check <= now);
        self.deferred.iter().any(told) || !self.due_rechecks(now).is_empty()
    }

    /// Returns the keys that are due for a recheck: one of each project where the project is unhealthy.
    #[must_use]
    pub fn due_rechecks(&self, now: Timestamp) -> Vec<KeyId> {
        let mut keys = self.due_rechecks_of(false, now);
        keys.extend(self.due_rechecks_of(true, now));
        keys
    }

    /// Returns those of them that are in a final state, or those that are not.
    #[must_use]
    pub fn due_rechecks_of(&self, in_final_state: bool, now: Timestamp) -> Vec<KeyId> {
        let due = self.table.filter_by_health(|health| {
            health.state.is_final() == in_final_state && health.next_check.is_some_and(|check| check <= now)
        });
        due.into_iter().filter_map(|key| self.table.id(key)).collect()
    }

    /// Takes in that Gemini does not find a model for a key. Returns `true` if other keys show that the model exists: it
    /// is `listed`, or has answered another key lately.
    pub fn lacks_access(&mut self, key: &KeyId, model: &str, listed: bool, now: Timestamp) -> bool {
        let Some(key) = self.table.find(key) else { return false };
        let selector = self.selectors.get_mut(model);
        selector.is_some_and(|selector| selector.access.exists_without(key, now)) || listed
    }

    /// Returns the state of a key; `None` if the pool does not have it.
    #[must_use]
    pub fn state(&self, key: &KeyId, now: Timestamp) -> Option<KeyState> {
        let key = self.table.find(key)?;
        for health in self.table.health_of(key) {
            let is_over = health.state == HealthState::SpendWindow && health.blocked_until(now).is_none();
            if health.state != HealthState::Healthy && !is_over {
                return Some(KeyState::Unhealthy(health.state));
            }
        }
        let cooling: Vec<_> = self
            .selectors
            .iter()
            .filter_map(|(model, selector)| match selector.blocked(&self.table, key, now)? {
                (until, Block::Cooldown(cooldown)) if !cooldown.counted => {
                    Some((model.clone(), until, cooldown.reason))
                }
                _ => None,
            })
            .collect();
        Some(if cooling.is_empty() { KeyState::Healthy } else { KeyState::Cooling(cooling) })
    }

    /// Returns `true` if a response of Gemini, here or at another instance, has shown that a model exists.
    #[must_use]
    pub fn knows_model(&self, model: &str) -> bool {
        self.selectors.get(model).is_some_and(ModelSelector::has_evidence)
    }

    /// Returns the observations since the last call, for a report.
    #[must_use]
    pub fn drain_observations(&mut self, now: Timestamp) -> Vec<Observation> {
        let mut observations = std::mem::take(&mut self.observations);
        let spent = std::mem::take(&mut self.spent);
        observations.extend(self.rate_limiter.drain_unreported(now));
        observations.extend(spent.into_iter().map(|((subject, model), cost)| Observation {
            subject,
            model: Some(model),
            at: now,
            fact: ObservationKind::Spent { requests: cost.requests, tokens: cost.tokens },
        }));
        observations
    }

    /// Takes a lease back whose attempt came to no end that says anything.
    pub fn abandon(&mut self, lease: &Lease) {
        self.release(lease);
    }

    /// Takes a lease back. Gives the place of its key, unless the lease was taken for lost or its key is gone.
    fn release(&mut self, lease: &Lease) -> Option<usize> {
        let (key, _) = self.leases.remove(&lease.serial)?;
        self.table.attempt_ended(key);
        Some(key)
    }

    /// Returns what the pool's client keys have used.
    pub const fn rate_limiter(&mut self) -> &mut RateLimiter {
        &mut self.rate_limiter
    }

    /// Returns how many keys it knows.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.table.len()
    }

    /// Adopts a newer key set. The state of keys that it still has is kept.
    fn adopt_key_set(&mut self, key_set: &Arc<KeySet>, now: Timestamp) {
        if self.version.is_some_and(|version| version >= key_set.version) {
            return;
        }
        let table = KeyTable::new(key_set, &self.table);
        let before = std::mem::replace(&mut self.table, table);
        self.version = Some(key_set.version);
        // Places have moved.
        self.spent_out.clear();
        let table = &mut self.table;
        self.leases.retain(|_, (key, _)| match table.place_of(before.key_set(), *key) {
            Some(place) => {
                *key = place;
                table.attempt_began(place);
                true
            }
            None => false,
        });
        for (model, selector) in &mut self.selectors {
            selector.move_to(model, &self.table, &before, now);
        }
        let deferred = std::mem::take(&mut self.deferred);
        self.merge(&deferred, now);
    }

    /// Returns the places here of keys that a key set, older or the same, has at the given places.
    fn places(&self, key_set: &KeySet, tried: &[usize], older: bool) -> Vec<usize> {
        if !older {
            return tried.to_vec();
        }
        tried.iter().filter_map(|index| self.table.place_of(key_set, *index)).collect()
    }

    fn lease(&mut self, key: usize, model: &str, cost: Cost, now: Timestamp) -> Option<Lease> {
        let id = self.table.id(key)?;
        if let Some(project) = self.table.project_of(key)
            && let Some(tracker) =
                self.selectors.get_mut(model).and_then(|selector| selector.trackers.get_mut(&project))
        {
            tracker.spend(cost, now);
            let subject = self.project_subject(key);
            self.spent.entry((subject, model.to_owned())).or_default().add(cost);
        }
        self.last_serial += 1;
        self.table.attempt_began(key);
        self.leases.insert(self.last_serial, (key, now));
        Some(Lease { serial: self.last_serial, key: id, model: model.to_owned(), began: now, cost })
    }

    /// A request that was cut off by the runtime never gives its lease back.
    fn expire_leases(&mut self, now: Timestamp) {
        while let Some(first) = self.leases.first_entry()
            && now.duration_since(first.get().1).unsigned_abs() > LEASE_TTL
        {
            let (key, _) = first.remove();
            self.table.attempt_ended(key);
        }
    }

    /// Under which name others know the project of a key.
    fn project_subject(&self, key: usize) -> Subject {
        let project = self.table.project_of(key);
        match project.and_then(|project| self.table.project_name(project)) {
            Some(name) => Subject::Project(name.to_string()),
            None => Subject::Key(self.table.id(key).unwrap_or_else(|| KeyId::new(""))),
        }
    }

    fn record(&mut self, subject: Subject, model: Option<&str>, fact: ObservationKind, now: Timestamp) {
        if self.observations.len() >= MAX_OBSERVATIONS {
            self.observations.drain(..MAX_OBSERVATIONS / 2);
        }
        self.observations.push(Observation { subject, model: model.map(ToOwned::to_owned), at: now, fact });
    }
}

/// Returns the selector of a model, which is created if there is none.
fn selector_of<'a>(
    selectors: &'a mut HashMap<String, ModelSelector>,
    table: &KeyTable,
    model: &str,
    now: Timestamp,
) -> &'a mut ModelSelector {
    if !selectors.contains_key(model) && selectors.len() >= MAX_SELECTORS {
        let oldest =
            selectors.iter().min_by_key(|(_, selector)| selector.used_at).map(|(model, _)| model.clone());
        selectors.remove(&oldest.unwrap_or_default());
    }
    let selector = selectors.entry(model.to_owned()).or_insert_with(|| ModelSelector::new(table, model, now));
    selector.used_at = now;
    selector
}

#[cfg(test)]
mod tests;

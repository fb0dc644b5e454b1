//! Key selection for one model.
//!
//! A key is in the trees while it is usable for the model. A cooldown removes it, and a heap ordered by
//! time returns it. So a selection never visits a key in cooldown, and costs O(log n).

mod access;
mod select;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use pool_shared::{Limits, ModelLimits, matches_model};

use super::circuit_breaker::CircuitBreaker;
use super::health::HealthState;
use super::key_table::KeyTable;
use super::observation::CoolingReason;
use super::quota::QuotaTracker;
use super::weight_tree::WeightTree;
use super::{next_quota_day, shifted};
use access::Access;

pub(crate) use select::{Exhausted, Selection, recovery_jitter};

/// Cooldowns after the first, second and each further burst.
const BURST_LADDER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];
/// After bursts on this many keys in a row, the keys are not the reason.
const BURSTS_IN_A_ROW: usize = 3;
/// Maximum jitter of a cooldown until a quota reset.
const MAX_RESET_DELAY: Duration = Duration::from_mins(1);
/// Projects whose use of the model is counted, about 200 bytes each.
const MAX_TRACKERS: usize = 20_000;

/// The keys of a pool for one model.
#[derive(Debug)]
pub(crate) struct ModelSelector {
    regular: WeightTree,
    /// Reserve keys (weight 0), selected evenly when no other key is available.
    reserve: WeightTree,
    returns: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The end of the cooldown of each key, as queued in `returns`; older entries there are stale.
    queued: HashMap<usize, Timestamp>,
    pub(crate) key_cooldowns: HashMap<usize, Cooldown>,
    pub(crate) project_cooldowns: HashMap<usize, Cooldown>,
    pub(crate) trackers: HashMap<usize, QuotaTracker>,
    /// The limits that the operator set for this model.
    model_limits: Vec<ModelLimits>,
    /// Projects in cooldown by our own count only.
    counted_out: BTreeSet<usize>,
    pub(crate) circuit: CircuitBreaker,
    bursting: Vec<usize>,
    /// The keys with which the model has responded.
    pub(crate) access: Access,
    exhausted: Option<(Timestamp, Exhausted)>,
    pub(crate) used_at: Timestamp,
}

/// A cooldown of a key or project for this model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cooldown {
    /// When it was observed.
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) reason: CoolingReason,
    /// Whether our own count is the only reason, not an error of Gemini.
    pub(crate) counted: bool,
    strikes: usize,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Block {
    /// Its state, or that of its project, whatever the model.
    Health(HealthState),
    /// A cooldown for this model.
    Cooldown(Cooldown),
}

impl Cooldown {
    /// Returns a cooldown that an error of Gemini causes.
    pub(crate) const fn reported(at: Timestamp, until: Timestamp, reason: CoolingReason) -> Self {
        Self { at, until, reason, counted: false, strikes: 0 }
    }
}

impl ModelSelector {
    pub(crate) fn new(table: &KeyTable, model: &str, now: Timestamp) -> Self {
        let mut selector = Self {
            regular: WeightTree::default(),
            reserve: WeightTree::default(),
            returns: BinaryHeap::new(),
            queued: HashMap::new(),
            key_cooldowns: HashMap::new(),
            project_cooldowns: HashMap::new(),
            trackers: HashMap::new(),
            model_limits: limits_of_model(table, model),
            counted_out: BTreeSet::new(),
            circuit: CircuitBreaker::default(),
            bursting: Vec::new(),
            access: Access::default(),
            exhausted: None,
            used_at: now,
        };
        selector.rebuild(table, now);
        selector
    }

    /// Rebuilds the trees for another key table.
    fn rebuild(&mut self, table: &KeyTable, now: Timestamp) {
        self.returns.clear();
        self.queued.clear();
        let mut regular = table.key_set().keys.weights().to_vec();
        // Few pools have keys of weight 0.
        let has_reserve = regular.contains(&0);
        let mut reserve = if has_reserve { vec![0; regular.len()] } else { Vec::new() };
        for (key, weight) in regular.iter_mut().enumerate() {
            if self.queue(table, key, now) {
                *weight = 0;
            } else if *weight == 0
                && let Some(slot) = reserve.get_mut(key)
            {
                *slot = 1;
            }
        }
        self.regular = WeightTree::new(regular);
        self.reserve = WeightTree::new(reserve);
        self.exhausted = None;
    }

    /// Moves to another key table. The new place of an old key is that of the same id, and of an old project that of
    /// the first of its keys.
    pub(crate) fn move_to(&mut self, model: &str, table: &KeyTable, before: &KeyTable, now: Timestamp) {
        fn moved<T>(
            old: &mut HashMap<usize, T>,
            place: impl Fn(usize) -> Option<usize>,
        ) -> HashMap<usize, T> {
            old.drain().filter_map(|(old, value)| Some((place(old)?, value))).collect()
        }
        let key = |old: usize| table.place_of(before.key_set(), old);
        let project = |old: usize| table.project_of(before.keys_of_project(old).find_map(key)?);
        self.key_cooldowns = moved(&mut self.key_cooldowns, key);
        self.project_cooldowns = moved(&mut self.project_cooldowns, project);
        self.trackers = moved(&mut self.trackers, project);
        self.model_limits = limits_of_model(table, model);
        for (project, tracker) in &mut self.trackers {
            tracker.set_limits(set_limits(table, &self.model_limits, *project));
        }
        // By other limits our own count may say otherwise: the next pick counts anew.
        self.project_cooldowns.retain(|_, cooldown| !cooldown.counted);
        self.counted_out.clear();
        self.bursting.clear();
        self.access.move_to(key);
        self.rebuild(table, now);
    }

    /// Returns `true` if a response of Gemini has shown that the model exists.
    pub(crate) fn has_evidence(&self) -> bool {
        let mut cooldowns = self.key_cooldowns.values().chain(self.project_cooldowns.values());
        self.circuit.has_evidence() || cooldowns.any(|cooldown| !cooldown.counted)
    }

    /// Returns until when a key cannot be used, and why; `None` if it can.
    pub(crate) fn blocked(&self, table: &KeyTable, key: usize, now: Timestamp) -> Option<(Timestamp, Block)> {
        let health = table.blocked(key, now).map(|(until, state)| (until, Block::Health(state)));
        let project = table.project_of(key).and_then(|project| self.project_cooldowns.get(&project));
        [self.key_cooldowns.get(&key), project]
            .into_iter()
            .flatten()
            .filter(|cooldown| cooldown.until > now)
            .map(|cooldown| (cooldown.until, Block::Cooldown(*cooldown)))
            .chain(health)
            .max_by_key(|(until, _)| *until)
    }

    /// Returns the longest hold of a key or of its project that a quota is the reason of.
    pub(crate) fn quota_cooldown(&self, table: &KeyTable, key: usize, now: Timestamp) -> Option<Cooldown> {
        let project = table.project_of(key).and_then(|project| self.project_cooldowns.get(&project));
        let cooldowns = [self.key_cooldowns.get(&key), project].into_iter().flatten();
        let told = cooldowns
            .filter(|cooldown| cooldown.until > now && !cooldown.counted && cooldown.reason.is_quota());
        told.max_by_key(|cooldown| cooldown.until).copied()
    }

    /// Updates the index of a key after a change of its state.
    pub(crate) fn reindex(&mut self, table: &KeyTable, key: usize, now: Timestamp) {
        self.exhausted = None;
        self.place(table, key, now);
    }

    /// Does so with all keys of a project.
    pub(crate) fn reindex_project(&mut self, table: &KeyTable, project: usize, now: Timestamp) {
        for key in table.keys_of_project(project) {
            self.reindex(table, key, now);
        }
    }

    fn place(&mut self, table: &KeyTable, key: usize, now: Timestamp) {
        let weight = table.weight(key);
        let usable = !self.queue(table, key, now);
        self.regular.set(key, if usable { weight } else { 0 });
        self.reserve.set(key, u16::from(usable && weight == 0));
    }

    /// Queues the end of a cooldown. Returns `false` if the key is usable now.
    fn queue(&mut self, table: &KeyTable, key: usize, now: Timestamp) -> bool {
        let Some((until, _)) = self.blocked(table, key, now) else { return false };
        if until < Timestamp::MAX && self.queued.insert(key, until) != Some(until) {
            self.returns.push(Reverse((until, key)));
        }
        true
    }

    /// Releases the keys whose cooldown has expired.
    pub(crate) fn release_expired(&mut self, table: &KeyTable, now: Timestamp) {
        while let Some(Reverse((until, key))) = self.returns.peek().copied()
            && until <= now
        {
            self.returns.pop();
            if self.queued.get(&key) == Some(&until) {
                self.queued.remove(&key);
                self.reindex(table, key, now);
            }
        }
    }

    /// Puts a project into a cooldown, unless it is in a longer one.
    pub(crate) fn cool_down_project(
        &mut self,
        table: &KeyTable,
        project: usize,
        cooldown: Cooldown,
        now: Timestamp,
    ) {
        let before = self.project_cooldowns.get(&project);
        if before.is_some_and(|before| before.until >= cooldown.until && !before.counted) {
            return;
        }
        self.project_cooldowns.insert(project, cooldown);
        if cooldown.counted {
            self.counted_out.insert(project);
        }
        self.reindex_project(table, project, now);
    }

    /// Puts a key into a cooldown, unless it is in a longer one.
    pub(crate) fn cool_down_key(&mut self, table: &KeyTable, key: usize, cooldown: Cooldown, now: Timestamp) {
        if self.key_cooldowns.get(&key).is_some_and(|current| current.until >= cooldown.until) {
            return;
        }
        self.key_cooldowns.insert(key, cooldown);
        self.reindex(table, key, now);
    }

    /// Puts a key into a cooldown of some seconds after a burst, longer each time. Returns `true` beside it
    /// if bursts on several keys in a row show that the keys are not the reason.
    pub(crate) fn burst(
        &mut self,
        table: &KeyTable,
        key: usize,
        told: Option<Timestamp>,
        now: Timestamp,
    ) -> (Cooldown, bool) {
        let strikes = self.key_cooldowns.get(&key).map_or(0, |cooldown| cooldown.strikes);
        let step = BURST_LADDER.get(strikes).copied().unwrap_or(Duration::from_secs(5));
        let until = told.unwrap_or(now).max(now + step);
        let cooldown =
            Cooldown { at: now, until, reason: CoolingReason::Burst, counted: false, strikes: strikes + 1 };
        self.cool_down_key(table, key, cooldown, now);
        if !self.bursting.contains(&key) {
            self.bursting.push(key);
        }
        let in_a_row = self.bursting.len() >= BURSTS_IN_A_ROW;
        if in_a_row {
            self.bursting.clear();
        }
        (cooldown, in_a_row)
    }

    /// Ends a cooldown of a key that was observed up to `at`.
    pub(crate) fn clear_key(&mut self, table: &KeyTable, key: usize, at: Timestamp, now: Timestamp) {
        self.key_cooldowns.retain(|other, cooldown| *other != key || cooldown.at > at);
        self.bursting.retain(|bursting| *bursting != key);
        self.reindex(table, key, now);
    }

    /// Ends a cooldown of a project, and forgets the limits that upstream errors named.
    pub(crate) fn clear_project(&mut self, table: &KeyTable, project: usize, at: Timestamp, now: Timestamp) {
        self.project_cooldowns.retain(|other, cooldown| *other != project || cooldown.at > at);
        if let Some(tracker) = self.trackers.get_mut(&project) {
            tracker.forget_observed();
        }
        self.reindex_project(table, project, now);
    }

    /// Records a success of a key.
    pub(crate) fn accepted(&mut self, key: usize) {
        self.bursting.clear();
        if let Some(cooldown) = self.key_cooldowns.get_mut(&key) {
            cooldown.strikes = 0;
        }
    }

    /// The clock was set: times move with it. A quota of the day is reset at midnight by the new one.
    pub(crate) fn shift(&mut self, table: &KeyTable, by: SignedDuration, now: Timestamp) {
        let midnight = next_quota_day(now);
        for cooldown in self.key_cooldowns.values_mut().chain(self.project_cooldowns.values_mut()) {
            (cooldown.at, cooldown.until) = (shifted(cooldown.at, by), shifted(cooldown.until, by));
            if cooldown.reason == CoolingReason::Day {
                cooldown.until =
                    cooldown.until.min(midnight.saturating_add(MAX_RESET_DELAY).unwrap_or(midnight));
            }
        }
        self.trackers.values_mut().for_each(|tracker| tracker.shift(by, now));
        self.circuit.shift(by);
        self.access.shift(by);
        self.used_at = shifted(self.used_at, by);
        self.rebuild(table, now);
    }

    /// Returns `true` if a key is usable that was not tried yet.
    pub(crate) fn has_untried(&self, tried: &[usize]) -> bool {
        let weight = |key: usize| self.regular.weight(key) + self.reserve.weight(key);
        let tried: u32 = tried.iter().map(|key| u32::from(weight(*key))).sum();
        self.regular.total() + self.reserve.total() > tried
    }

    /// Returns the count of a project's use, made where one is needed.
    pub(crate) fn tracker(
        &mut self,
        table: &KeyTable,
        project: usize,
        needed: bool,
        now: Timestamp,
    ) -> Option<&mut QuotaTracker> {
        let set = set_limits(table, &self.model_limits, project);
        if !self.trackers.contains_key(&project) && (needed || !set.is_empty()) {
            if self.trackers.len() >= MAX_TRACKERS {
                self.trackers.retain(|_, tracker| !tracker.is_idle(now));
            }
            if self.trackers.len() < MAX_TRACKERS {
                self.trackers.insert(project, QuotaTracker::new(set, now));
            }
        }
        self.trackers.get_mut(&project)
    }

    /// Takes over the operator's limits for a project whose name has become known.
    pub(crate) fn set_limits(&mut self, table: &KeyTable, project: usize) {
        if let Some(tracker) = self.trackers.get_mut(&project) {
            tracker.set_limits(set_limits(table, &self.model_limits, project));
        }
    }
}

/// Returns the limits that the operator set for a model, of whatever project. Calls that are about no model have none.
fn limits_of_model(table: &KeyTable, model: &str) -> Vec<ModelLimits> {
    let all = table.key_set().model_limits.iter().filter(|_| !model.is_empty());
    all.filter(|limits| matches_model(&limits.model, model)).cloned().collect()
}

/// Returns the limits that the operator set for a project: its own, and those of the model.
fn set_limits(table: &KeyTable, model_limits: &[ModelLimits], project: usize) -> Limits {
    let name = || table.project_name(project).map_or("", |name| &**name);
    let cooldowns = |limits: &&ModelLimits| limits.project.is_empty() || limits.project == name();
    let holding = model_limits.iter().filter(cooldowns);
    holding.fold(table.limits_of(project), |strictest, limits| strictest.strictest(&limits.limits))
}

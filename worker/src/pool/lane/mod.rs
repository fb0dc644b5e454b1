//! The choice among a pool's keys for one model.
//!
//! A key is in the trees as long as it is usable for the model; it leaves them on a cooldown and comes
//! back from a heap ordered by time. So a choice never looks at a key that rests, and costs O(log n).

mod access;
mod choose;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use pool_shared::{Limits, ModelLimits, matches_model};

use super::budget::Budget;
use super::circuit::Circuit;
use super::learnt::CoolingReason;
use super::members::Members;
use super::standing::Condition;
use super::weight_tree::WeightTree;
use super::{next_quota_day, shifted};
use access::Access;

pub(in crate::pool) use choose::{Choice, Exhausted, stagger};

/// How long a key rests after the first, second and each further burst.
const BURST_LADDER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];
/// So many keys in a row that refuse a burst mean that it is not the keys.
const BURSTS_IN_A_ROW: usize = 3;
/// A cooldown until a quota's reset may end so much later, to spread the load.
const MAX_RESET_DELAY: Duration = Duration::from_mins(1);
/// Projects whose use of the model is counted at once, some 200 bytes each.
const MOST_BUDGETS: usize = 20_000;

/// The keys of a pool for one model.
#[derive(Debug)]
pub(in crate::pool) struct Lane {
    regular: WeightTree,
    /// Keys of weight 0, chosen evenly when no other is left.
    reserve: WeightTree,
    returns: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// When each resting key returns, as it stands in `returns`; older entries there count for nothing.
    queued: HashMap<usize, Timestamp>,
    pub(in crate::pool) key_holds: HashMap<usize, Hold>,
    pub(in crate::pool) project_holds: HashMap<usize, Hold>,
    pub(in crate::pool) budgets: HashMap<usize, Budget>,
    /// The limits that the operator set for this model.
    model_limits: Vec<ModelLimits>,
    /// Projects that rest by our own count only.
    counted_out: BTreeSet<usize>,
    pub(in crate::pool) circuit: Circuit,
    bursting: Vec<usize>,
    /// Which keys the model has answered.
    pub(in crate::pool) access: Access,
    exhausted: Option<(Timestamp, Exhausted)>,
    pub(in crate::pool) used_at: Timestamp,
}

/// A key or project rests for this model.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) struct Hold {
    /// When it was learnt.
    pub(in crate::pool) at: Timestamp,
    pub(in crate::pool) until: Timestamp,
    pub(in crate::pool) reason: CoolingReason,
    /// Whether it rests by our own count, without Gemini's word.
    pub(in crate::pool) counted: bool,
    strikes: usize,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug)]
pub(in crate::pool) enum Block {
    /// Its state, or that of its project, whatever the model.
    Standing(Condition),
    /// A cooldown for this model.
    Hold(Hold),
}

impl Hold {
    /// Gemini said so.
    pub(in crate::pool) const fn told(at: Timestamp, until: Timestamp, reason: CoolingReason) -> Self {
        Self { at, until, reason, counted: false, strikes: 0 }
    }
}

impl Lane {
    pub(in crate::pool) fn new(members: &Members, model: &str, now: Timestamp) -> Self {
        let mut lane = Self {
            regular: WeightTree::default(),
            reserve: WeightTree::default(),
            returns: BinaryHeap::new(),
            queued: HashMap::new(),
            key_holds: HashMap::new(),
            project_holds: HashMap::new(),
            budgets: HashMap::new(),
            model_limits: limits_of_model(members, model),
            counted_out: BTreeSet::new(),
            circuit: Circuit::default(),
            bursting: Vec::new(),
            access: Access::default(),
            exhausted: None,
            used_at: now,
        };
        lane.lay_out(members, now);
        lane
    }

    /// Builds the trees anew, for other members.
    fn lay_out(&mut self, members: &Members, now: Timestamp) {
        self.returns.clear();
        self.queued.clear();
        let mut regular = members.roster().keys.weights().to_vec();
        // Few pools have keys of weight 0.
        let has_reserve = regular.contains(&0);
        let mut reserve = if has_reserve { vec![0; regular.len()] } else { Vec::new() };
        for (key, weight) in regular.iter_mut().enumerate() {
            if self.queue(members, key, now) {
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

    /// Goes over to other members. The new place of an old key is that of the same id, and of an old project that of
    /// the first of its keys.
    pub(in crate::pool) fn move_to(
        &mut self,
        model: &str,
        members: &Members,
        before: &Members,
        now: Timestamp,
    ) {
        fn moved<T>(
            old: &mut HashMap<usize, T>,
            place: impl Fn(usize) -> Option<usize>,
        ) -> HashMap<usize, T> {
            old.drain().filter_map(|(old, value)| Some((place(old)?, value))).collect()
        }
        let key = |old: usize| members.place_of(before.roster(), old);
        let project = |old: usize| members.project_of(before.members_of(old).find_map(key)?);
        self.key_holds = moved(&mut self.key_holds, key);
        self.project_holds = moved(&mut self.project_holds, project);
        self.budgets = moved(&mut self.budgets, project);
        self.model_limits = limits_of_model(members, model);
        for (project, budget) in &mut self.budgets {
            budget.set_limits(set_limits(members, &self.model_limits, *project));
        }
        // By other limits our own count may say otherwise: the next pick counts anew.
        self.project_holds.retain(|_, hold| !hold.counted);
        self.counted_out.clear();
        self.bursting.clear();
        self.access.move_to(key);
        self.lay_out(members, now);
    }

    /// Whether Gemini has told anything about the model here, so that it is one.
    pub(in crate::pool) fn was_heard_of(&self) -> bool {
        let mut holds = self.key_holds.values().chain(self.project_holds.values());
        self.circuit.was_heard_of() || holds.any(|hold| !hold.counted)
    }

    /// Until when a key cannot be used, and why: `None` if it can.
    pub(in crate::pool) fn blocked(
        &self,
        members: &Members,
        key: usize,
        now: Timestamp,
    ) -> Option<(Timestamp, Block)> {
        let standing =
            members.blocked(key, now).map(|(until, condition)| (until, Block::Standing(condition)));
        let project = members.project_of(key).and_then(|project| self.project_holds.get(&project));
        [self.key_holds.get(&key), project]
            .into_iter()
            .flatten()
            .filter(|hold| hold.until > now)
            .map(|hold| (hold.until, Block::Hold(*hold)))
            .chain(standing)
            .max_by_key(|(until, _)| *until)
    }

    /// The longest hold of a key or of its project that a quota is the reason of.
    pub(in crate::pool) fn quota_hold(&self, members: &Members, key: usize, now: Timestamp) -> Option<Hold> {
        let project = members.project_of(key).and_then(|project| self.project_holds.get(&project));
        let holds = [self.key_holds.get(&key), project].into_iter().flatten();
        let told = holds.filter(|hold| hold.until > now && !hold.counted && hold.reason.is_quota());
        told.max_by_key(|hold| hold.until).copied()
    }

    /// Puts a key where it belongs after something about it changed.
    pub(in crate::pool) fn settle(&mut self, members: &Members, key: usize, now: Timestamp) {
        self.exhausted = None;
        self.place(members, key, now);
    }

    /// Does so with all keys of a project.
    pub(in crate::pool) fn settle_project(&mut self, members: &Members, project: usize, now: Timestamp) {
        for key in members.members_of(project) {
            self.settle(members, key, now);
        }
    }

    fn place(&mut self, members: &Members, key: usize, now: Timestamp) {
        let weight = members.weight(key);
        let usable = !self.queue(members, key, now);
        self.regular.set(key, if usable { weight } else { 0 });
        self.reserve.set(key, u16::from(usable && weight == 0));
    }

    /// Notes when a resting key returns. False: it does not rest.
    fn queue(&mut self, members: &Members, key: usize, now: Timestamp) -> bool {
        let Some((until, _)) = self.blocked(members, key, now) else { return false };
        if until < Timestamp::MAX && self.queued.insert(key, until) != Some(until) {
            self.returns.push(Reverse((until, key)));
        }
        true
    }

    /// Lets those return whose time has come.
    pub(in crate::pool) fn bring_back(&mut self, members: &Members, now: Timestamp) {
        while let Some(Reverse((until, key))) = self.returns.peek().copied()
            && until <= now
        {
            self.returns.pop();
            if self.queued.get(&key) == Some(&until) {
                self.queued.remove(&key);
                self.settle(members, key, now);
            }
        }
    }

    /// Lets a project rest, if it does not rest longer already.
    pub(in crate::pool) fn hold_project(
        &mut self,
        members: &Members,
        project: usize,
        hold: Hold,
        now: Timestamp,
    ) {
        let before = self.project_holds.get(&project);
        if before.is_some_and(|before| before.until >= hold.until && !before.counted) {
            return;
        }
        self.project_holds.insert(project, hold);
        if hold.counted {
            self.counted_out.insert(project);
        }
        self.settle_project(members, project, now);
    }

    /// Lets a key rest, if it does not rest longer already.
    pub(in crate::pool) fn hold_key(&mut self, members: &Members, key: usize, hold: Hold, now: Timestamp) {
        if self.key_holds.get(&key).is_some_and(|held| held.until >= hold.until) {
            return;
        }
        self.key_holds.insert(key, hold);
        self.settle(members, key, now);
    }

    /// A key was refused for a burst: it rests for some seconds, longer each time. True: so many in a
    /// row were refused that it is not the keys.
    pub(in crate::pool) fn burst(
        &mut self,
        members: &Members,
        key: usize,
        told: Option<Timestamp>,
        now: Timestamp,
    ) -> (Hold, bool) {
        let strikes = self.key_holds.get(&key).map_or(0, |held| held.strikes);
        let step = BURST_LADDER.get(strikes).copied().unwrap_or(Duration::from_secs(5));
        let until = told.unwrap_or(now).max(now + step);
        let hold =
            Hold { at: now, until, reason: CoolingReason::Burst, counted: false, strikes: strikes + 1 };
        self.hold_key(members, key, hold, now);
        if !self.bursting.contains(&key) {
            self.bursting.push(key);
        }
        let in_a_row = self.bursting.len() >= BURSTS_IN_A_ROW;
        if in_a_row {
            self.bursting.clear();
        }
        (hold, in_a_row)
    }

    /// Ends a key's cooldown that was learnt up to `at`, and puts the key where it belongs now.
    pub(in crate::pool) fn clear_key(
        &mut self,
        members: &Members,
        key: usize,
        at: Timestamp,
        now: Timestamp,
    ) {
        self.key_holds.retain(|held, hold| *held != key || hold.at > at);
        self.bursting.retain(|bursting| *bursting != key);
        self.settle(members, key, now);
    }

    /// Does so with a project, and forgets the limits that upstream errors named.
    pub(in crate::pool) fn clear_project(
        &mut self,
        members: &Members,
        project: usize,
        at: Timestamp,
        now: Timestamp,
    ) {
        self.project_holds.retain(|held, hold| *held != project || hold.at > at);
        if let Some(budget) = self.budgets.get_mut(&project) {
            budget.forget_learnt();
        }
        self.settle_project(members, project, now);
    }

    /// A key was accepted.
    pub(in crate::pool) fn accepted(&mut self, key: usize) {
        self.bursting.clear();
        if let Some(held) = self.key_holds.get_mut(&key) {
            held.strikes = 0;
        }
    }

    /// The clock was set: times move with it. A quota of the day is reset at midnight by the new one.
    pub(in crate::pool) fn shift(&mut self, members: &Members, by: SignedDuration, now: Timestamp) {
        let midnight = next_quota_day(now);
        for hold in self.key_holds.values_mut().chain(self.project_holds.values_mut()) {
            (hold.at, hold.until) = (shifted(hold.at, by), shifted(hold.until, by));
            if hold.reason == CoolingReason::Day {
                hold.until = hold.until.min(midnight.saturating_add(MAX_RESET_DELAY).unwrap_or(midnight));
            }
        }
        self.budgets.values_mut().for_each(|budget| budget.shift(by, now));
        self.circuit.shift(by);
        self.access.shift(by);
        self.used_at = shifted(self.used_at, by);
        self.lay_out(members, now);
    }

    /// Whether a key is usable that is not among those that were tried.
    pub(in crate::pool) fn has_untried(&self, tried: &[usize]) -> bool {
        let weight = |key: usize| self.regular.weight(key) + self.reserve.weight(key);
        let tried: u32 = tried.iter().map(|key| u32::from(weight(*key))).sum();
        self.regular.total() + self.reserve.total() > tried
    }

    /// The count of a project's use, made where one is needed.
    pub(in crate::pool) fn budget(
        &mut self,
        members: &Members,
        project: usize,
        needed: bool,
        now: Timestamp,
    ) -> Option<&mut Budget> {
        let set = set_limits(members, &self.model_limits, project);
        if !self.budgets.contains_key(&project) && (needed || !set.is_empty()) {
            if self.budgets.len() >= MOST_BUDGETS {
                self.budgets.retain(|_, budget| !budget.is_idle(now));
            }
            if self.budgets.len() < MOST_BUDGETS {
                self.budgets.insert(project, Budget::new(set, now));
            }
        }
        self.budgets.get_mut(&project)
    }

    /// Takes over the operator's limits for a project whose name has become known.
    pub(in crate::pool) fn set_limits(&mut self, members: &Members, project: usize) {
        if let Some(budget) = self.budgets.get_mut(&project) {
            budget.set_limits(set_limits(members, &self.model_limits, project));
        }
    }
}

/// The limits that the operator set for a model, of whatever project. Calls that are about no model have none.
fn limits_of_model(members: &Members, model: &str) -> Vec<ModelLimits> {
    let all = members.roster().model_limits.iter().filter(|_| !model.is_empty());
    all.filter(|limits| matches_model(&limits.model, model)).cloned().collect()
}

/// The limits that the operator set for a project: its own, and those of the model.
fn set_limits(members: &Members, model_limits: &[ModelLimits], project: usize) -> Limits {
    let name = || members.project_name(project).map_or("", |name| &**name);
    let holds = |limits: &&ModelLimits| limits.project.is_empty() || limits.project == name();
    let holding = model_limits.iter().filter(holds);
    holding.fold(members.limits_of(project), |strictest, limits| strictest.strictest(&limits.limits))
}

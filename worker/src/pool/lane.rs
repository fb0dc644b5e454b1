//! The choice among a pool's keys for one model.
//!
//! A key is in the trees as long as it is usable for the model; it leaves them on a cooldown and comes
//! back from a heap ordered by time. So a choice never looks at a key that rests, and costs O(log n).

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::budget::{Budget, Cost, Fit};
use super::circuit::Circuit;
use super::learnt::CoolingReason;
use super::roster::Members;
use super::verdict::part_of;
use super::weight_tree::{WeightTree, below, mix};
use super::{Limits, Quota};
use crate::host::Random;

/// How long a key rests after the first, second and each further burst.
const BURST_LADDER: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5)];
/// So many keys in a row that refuse a burst mean that it is not the keys.
const BURSTS_IN_A_ROW: usize = 3;
/// Keys that are looked at for a request that sticks to one.
const STICKY_PROBES: u64 = 8;
/// Keys that are passed over for a request that is too large for what is left of their quota.
const MOST_TOO_LARGE: usize = 32;
/// Projects whose use of the model is counted at once, some 200 bytes each.
const MOST_BUDGETS: usize = 20_000;
/// A report and its answer take less than this.
const LONGEST_STAGGER: Duration = Duration::from_secs(3);

/// The keys of a pool for one model.
#[derive(Debug)]
pub(super) struct Lane {
    regular: WeightTree,
    /// Keys of weight 0, chosen evenly when no other is left.
    reserve: WeightTree,
    returns: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// When each resting key returns, as it stands in `returns`; older entries there count for nothing.
    queued: HashMap<usize, Timestamp>,
    pub(super) key_holds: HashMap<usize, Hold>,
    pub(super) project_holds: HashMap<usize, Hold>,
    pub(super) budgets: HashMap<usize, Budget>,
    /// Projects that rest by our own count only.
    counted_out: BTreeSet<usize>,
    pub(super) circuit: Circuit,
    bursting: Vec<usize>,
    exhausted: Option<(Timestamp, Exhausted)>,
    pub(super) used_at: Timestamp,
}

/// A key or project rests for this model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    pub(super) until: Timestamp,
    pub(super) reason: CoolingReason,
    /// Whether it rests by our own count, without Gemini's word.
    pub(super) counted: bool,
    strikes: usize,
}

impl Hold {
    /// Gemini said so.
    pub(super) const fn told(until: Timestamp, reason: CoolingReason) -> Self {
        Self { until, reason, counted: false, strikes: 0 }
    }
}

/// Why no key can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exhausted {
    /// Those that are not lost rest, the first of them until `soonest`.
    Cooling { soonest: Timestamp, only_the_day_helps: bool },
    /// Some are usable, but were tried already.
    Tried,
    /// None is usable, and no time will change that.
    Lost,
}

/// What to choose for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    pub(super) tried: &'a [usize],
    pub(super) affinity: Option<u64>,
    pub(super) cost: Cost,
    /// Random bits of this isolate.
    pub(super) salt: u64,
    pub(super) now: Timestamp,
}

/// How much later than the others an isolate takes up what is free again. If all came at once, they would
/// use it up before they hear of each other.
pub(super) fn stagger(salt: u64, until: Timestamp) -> Duration {
    part_of(LONGEST_STAGGER, mix(salt ^ until.as_millisecond().unsigned_abs()))
}

impl Lane {
    pub(super) fn new(members: &Members, now: Timestamp) -> Self {
        let mut lane = Self {
            regular: WeightTree::default(),
            reserve: WeightTree::default(),
            returns: BinaryHeap::new(),
            queued: HashMap::new(),
            key_holds: HashMap::new(),
            project_holds: HashMap::new(),
            budgets: HashMap::new(),
            counted_out: BTreeSet::new(),
            circuit: Circuit::default(),
            bursting: Vec::new(),
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
        let usable: Vec<bool> =
            (0..members.keys.len()).map(|key| self.blocked(members, key, now).is_none()).collect();
        let weights = || members.keys.iter().map(|member| member.weight).zip(&usable);
        self.regular =
            WeightTree::new(weights().map(|(weight, usable)| if *usable { weight } else { 0 }).collect());
        self.reserve =
            WeightTree::new(weights().map(|(weight, usable)| u16::from(*usable && weight == 0)).collect());
        for (key, _) in usable.iter().enumerate().filter(|(_, usable)| !**usable) {
            self.queue(members, key, now);
        }
        self.exhausted = None;
    }

    /// Goes over to other members; the maps give the new place of each old key and project.
    pub(super) fn move_to(
        &mut self,
        members: &Members,
        keys: &HashMap<usize, usize>,
        projects: &HashMap<usize, usize>,
        now: Timestamp,
    ) {
        fn moved<T>(old: &mut HashMap<usize, T>, places: &HashMap<usize, usize>) -> HashMap<usize, T> {
            old.drain().filter_map(|(place, value)| Some((*places.get(&place)?, value))).collect()
        }
        self.key_holds = moved(&mut self.key_holds, keys);
        self.project_holds = moved(&mut self.project_holds, projects);
        self.budgets = moved(&mut self.budgets, projects);
        for (project, budget) in &mut self.budgets {
            let set = members.projects.get(*project).map(|project| project.limits);
            budget.set_limits(set.unwrap_or_default());
        }
        self.counted_out.clear();
        self.bursting.clear();
        self.lay_out(members, now);
    }

    /// Until when a key cannot be used, and why: `None` if it can. No reason: whatever the model.
    pub(super) fn blocked(
        &self,
        members: &Members,
        key: usize,
        now: Timestamp,
    ) -> Option<(Timestamp, Option<Hold>)> {
        let standing = members.blocked_until(key, now).map(|until| (until, None));
        let project = members.project_of(key).and_then(|project| self.project_holds.get(&project));
        [self.key_holds.get(&key), project]
            .into_iter()
            .flatten()
            .filter(|hold| hold.until > now)
            .map(|hold| (hold.until, Some(*hold)))
            .chain(standing)
            .max_by_key(|(until, _)| *until)
    }

    /// Puts a key where it belongs after something about it changed.
    pub(super) fn settle(&mut self, members: &Members, key: usize, now: Timestamp) {
        self.exhausted = None;
        self.place(members, key, now);
    }

    fn place(&mut self, members: &Members, key: usize, now: Timestamp) {
        let weight = members.keys.get(key).map_or(0, |member| member.weight);
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
    pub(super) fn bring_back(&mut self, members: &Members, now: Timestamp) {
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
    pub(super) fn hold_project(&mut self, members: &Members, project: usize, hold: Hold, now: Timestamp) {
        let held = self.project_holds.get(&project);
        if held.is_some_and(|held| held.until >= hold.until && !held.counted) {
            return;
        }
        self.project_holds.insert(project, hold);
        if hold.counted {
            self.counted_out.insert(project);
        }
        for key in members.members_of(project) {
            self.settle(members, *key, now);
        }
    }

    /// Lets a key rest, if it does not rest longer already.
    pub(super) fn hold_key(&mut self, members: &Members, key: usize, hold: Hold, now: Timestamp) {
        if self.key_holds.get(&key).is_some_and(|held| held.until >= hold.until) {
            return;
        }
        self.key_holds.insert(key, hold);
        self.settle(members, key, now);
    }

    /// A key was refused for a burst: it rests for some seconds, longer each time. True: so many in a
    /// row were refused that it is not the keys.
    pub(super) fn burst(
        &mut self,
        members: &Members,
        key: usize,
        told: Option<Timestamp>,
        now: Timestamp,
    ) -> (Hold, bool) {
        let strikes = self.key_holds.get(&key).map_or(0, |held| held.strikes);
        let step = BURST_LADDER.get(strikes).copied().unwrap_or(Duration::from_secs(5));
        let until = told.unwrap_or(now).max(now + step);
        let hold = Hold { until, reason: CoolingReason::Burst, counted: false, strikes: strikes + 1 };
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

    /// A key was accepted.
    pub(super) fn accepted(&mut self, key: usize) {
        self.bursting.clear();
        if let Some(held) = self.key_holds.get_mut(&key) {
            held.strikes = 0;
        }
    }

    /// The count of a project's use, made where one is needed.
    pub(super) fn budget(
        &mut self,
        members: &Members,
        project: usize,
        needed: bool,
        now: Timestamp,
    ) -> Option<&mut Budget> {
        let set = members.projects.get(project).map_or_else(Limits::default, |project| project.limits);
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

    /// Chooses a key.
    pub(super) fn choose(
        &mut self,
        members: &Members,
        choice: &Choice,
        random: &impl Random,
    ) -> Result<usize, Exhausted> {
        for key in choice.tried {
            self.set_aside(*key);
        }
        let mut too_large = Vec::new();
        let chosen = self.search(members, choice, &mut too_large, random);
        for key in choice.tried.iter().chain(&too_large) {
            self.place(members, *key, choice.now);
        }
        match chosen.or_else(|| self.counted_out_key(members, choice)) {
            Some(key) => Ok(key),
            None if self.regular.total() + self.reserve.total() > 0 => Err(Exhausted::Tried),
            None => Err(self.exhausted(members, choice.now)),
        }
    }

    fn search(
        &mut self,
        members: &Members,
        choice: &Choice,
        too_large: &mut Vec<usize>,
        random: &impl Random,
    ) -> Option<usize> {
        let mut sticky = choice.affinity.map(|affinity| (affinity, 0..STICKY_PROBES));
        loop {
            let stuck = sticky.as_mut().and_then(|(affinity, probes)| {
                probes.find_map(|probe| self.sticky_key(members, *affinity, probe))
            });
            // Every round takes a key out of the trees, so there are only so many.
            let Some(key) = stuck.or_else(|| self.draw(members, random)) else {
                return too_large.first().copied();
            };
            match self.fit(members, key, choice) {
                Fit::Yes => return Some(key),
                Fit::Full(until, quota) => {
                    self.hold_by_count(members, key, until + stagger(choice.salt, until), quota, choice.now)
                }
                Fit::TooLarge => {
                    too_large.push(key);
                    self.set_aside(key);
                    if too_large.len() >= MOST_TOO_LARGE {
                        return Some(key);
                    }
                }
            }
        }
    }

    fn fit(&mut self, members: &Members, key: usize, choice: &Choice) -> Fit {
        let Some(project) = members.project_of(key) else { return Fit::Yes };
        self.budget(members, project, false, choice.now)
            .map_or(Fit::Yes, |budget| budget.fit(choice.cost, choice.now))
    }

    fn hold_by_count(
        &mut self,
        members: &Members,
        key: usize,
        until: Timestamp,
        quota: Quota,
        now: Timestamp,
    ) {
        let reason = match quota {
            Quota::RequestsPerDay | Quota::TokensPerDay => CoolingReason::Day,
            Quota::RequestsPerMinute => CoolingReason::Requests,
            Quota::TokensPerMinute => CoolingReason::Tokens,
        };
        if let Some(project) = members.project_of(key) {
            self.hold_project(members, project, Hold { until, reason, counted: true, strikes: 0 }, now);
        }
    }

    /// A draw by weight. A key that already carries more than twice its share of the running attempts
    /// stands against a second draw, so that a slow key does not gather ever more of them.
    fn draw(&self, members: &Members, random: &impl Random) -> Option<usize> {
        let tree = if self.regular.total() > 0 { &self.regular } else { &self.reserve };
        let load = |key: usize| {
            let in_flight = members.keys.get(key).map_or(0, |member| member.in_flight);
            (u64::from(in_flight), u64::from(tree.weight(key)))
        };
        let first = tree.draw(random)?;
        let (running, weight) = load(first);
        let total = u64::from(tree.total());
        if running * total <= 2 * weight * u64::from(members.in_flight) + 2 * total {
            return Some(first);
        }
        let second = tree.draw(random)?;
        let (other_running, other_weight) = load(second);
        Some(if other_running * weight < running * other_weight { second } else { first })
    }

    /// The key that a sticky request prefers in the given place, if it is usable. The same request
    /// prefers the same keys in the same order as long as the pool's keys stay the same.
    fn sticky_key(&self, members: &Members, affinity: u64, probe: u64) -> Option<usize> {
        let bits = mix(affinity.wrapping_add(probe.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let key = members.shares.at(below(bits, members.shares.total()))?;
        (self.regular.weight(key) > 0).then_some(key)
    }

    fn set_aside(&mut self, key: usize) {
        self.regular.set(key, 0);
        self.reserve.set(key, 0);
    }

    /// When nothing else is left: a key that rests by our own count only. The count may be too strict,
    /// so each project is tried now and then.
    fn counted_out_key(&mut self, members: &Members, choice: &Choice) -> Option<usize> {
        while let Some(project) = self.counted_out.pop_first() {
            let hold = self.project_holds.get(&project);
            let counted = hold.is_some_and(|hold| hold.counted && hold.until > choice.now);
            let usable = |key: &&usize| {
                !choice.tried.contains(key)
                    && members.blocked_until(**key, choice.now).is_none()
                    && self.key_holds.get(key).is_none_or(|hold| hold.until <= choice.now)
            };
            let key = members.members_of(project).iter().find(usable).copied().filter(|_| counted);
            if let Some(key) = key
                && self.budgets.get_mut(&project).is_some_and(|budget| budget.probe(choice.now))
            {
                return Some(key);
            }
        }
        None
    }

    /// Looks at every key, and remembers what came of it until the first of them returns.
    fn exhausted(&mut self, members: &Members, now: Timestamp) -> Exhausted {
        if let Some((until, exhausted)) = self.exhausted
            && until > now
        {
            return exhausted;
        }
        let cooling = (0..members.keys.len()).filter_map(|key| match self.blocked(members, key, now)? {
            (until, Some(hold)) if hold.reason != CoolingReason::NewUsers => Some((until, hold.reason)),
            _ => None,
        });
        let mut found: Option<(Timestamp, bool)> = None;
        for (until, reason) in cooling {
            let (soonest, only_the_day) = found.unwrap_or((until, true));
            found = Some((soonest.min(until), only_the_day && reason.lasts_the_day()));
        }
        let exhausted = found.map_or(Exhausted::Lost, |(soonest, only_the_day_helps)| Exhausted::Cooling {
            soonest,
            only_the_day_helps,
        });
        self.exhausted = Some((self.returns.peek().map_or(Timestamp::MAX, |next| next.0.0), exhausted));
        exhausted
    }
}

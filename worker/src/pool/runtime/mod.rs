//! What an isolate or process knows of one pool's keys while it runs.
//!
//! Plain data: picks come in and leases go out, ends of attempts come in and what they teach goes out.
//! It is kept by key id, so it outlives the snapshots that it is used with. What must never happen
//! here: I/O, a look at a clock, a state changed by anything but Gemini's responses and an operator's reset.

mod absorb;
mod learn;
mod shift;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pool_shared::KeyId;

use super::budget::Cost;
use super::callers::Callers;
use super::circuit::OpenReason;
use super::lane::{Block, Choice, Exhausted, Lane};
use super::learnt::{CoolingReason, Fact, Learnt, Subject};
use super::members::Members;
use super::roster::Roster;
use super::standing::Condition;
use super::verdict::Verdict;
use crate::host::Random;

/// Models that a pool keeps cooldowns and counts for; the one that was not used for longest makes room
/// for a new one. At 6 bytes a key and model, 12 where a key has the weight 0.
const MOST_LANES: usize = 32;
/// An attempt that has not ended after so long was lost with its request.
const LEASE_LIFE: Duration = Duration::from_mins(10);
/// Facts that wait for a report; beyond them the oldest are dropped, and others find out by themselves.
const MOST_LEARNT: usize = 4_096;

/// One pool's keys, as they stand.
#[derive(Debug, Default)]
pub struct Runtime {
    version: Option<u64>,
    members: Members,
    lanes: HashMap<String, Lane>,
    /// The key's place and the beginning of each running attempt.
    leases: BTreeMap<u64, (usize, Timestamp)>,
    last_serial: u64,
    learnt: Vec<Learnt>,
    /// What others told before the keys were known.
    unheard: Vec<Learnt>,
    spent: BTreeMap<(Subject, String), Cost>,
    callers: Callers,
    /// The projects that fell by a spend limit in the last minute: when, and what Gemini said.
    spent_out: Vec<(usize, Timestamp, String)>,
    /// Random bits of this isolate, so that it does not do everything when all others do.
    salt: u64,
}

/// What a key is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct PickRequest<'a> {
    /// The model; empty for calls that draw on no model's quota.
    pub model: &'a str,
    /// The places in the roster of the keys that were tried already.
    pub tried: &'a [usize],
    /// Requests with the same number go to the same key while that is usable.
    pub affinity: Option<u64>,
    /// What it will use up.
    pub cost: Cost,
}

/// What became of a wish for a key.
#[derive(Debug)]
pub enum Pick {
    /// Use this one.
    Key {
        /// Its place in the roster.
        index: usize,
        /// To be given back to [`Runtime::finish`].
        lease: Lease,
    },
    /// The model keeps failing: no attempt before `until`.
    Open {
        /// When the next attempt may be made.
        until: Timestamp,
        /// Why.
        reason: OpenReason,
    },
    /// Every key that is not lost rests.
    AllCooling {
        /// When the first of them returns.
        soonest: Timestamp,
        /// Whether all of them have used up the day's quota.
        only_the_day_helps: bool,
    },
    /// Every usable key was tried.
    AllTried,
    /// No key is usable or in a cooldown.
    NoneLeft {
        /// When the first of those comes back that come back by themselves.
        returns: Option<Timestamp>,
    },
}

/// A running attempt on a key.
#[derive(Debug)]
#[must_use = "an attempt that never ends counts against its key for ten minutes"]
pub struct Lease {
    serial: u64,
    key: KeyId,
    model: String,
    began: Timestamp,
    cost: Cost,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum AttemptEnd<'a> {
    /// Gemini answered; it counted so many input tokens, if it said so.
    Success {
        /// Input tokens.
        tokens: Option<u64>,
        /// Content was generated, as every model that is told of can; not embedded, counted or listed.
        generated: bool,
    },
    /// Gemini refused, or could not be reached.
    Refused(&'a Verdict),
}

/// How a key stands, the worst first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It, or its project, is refused whatever the model.
    Standing(Condition),
    /// It rests for these models.
    Cooling(Vec<(String, Timestamp, CoolingReason)>),
    /// Nothing is known against it.
    Healthy,
}

impl Runtime {
    /// Chooses a key of the roster for an attempt.
    pub fn pick(
        &mut self,
        roster: &Arc<Roster>,
        request: &PickRequest,
        now: Timestamp,
        random: &impl Random,
    ) -> Pick {
        if self.salt == 0 {
            self.salt = random.next_u64();
        }
        self.go_over_to(roster, now);
        self.forget_lost_leases(now);
        let older = self.version != Some(roster.version);
        let mut tried = self.places(roster, request.tried, older);
        let lane = lane_of(&mut self.lanes, &self.members, request.model, now);
        lane.bring_back(&self.members, now);
        if let Err((until, reason)) = lane.circuit.check(now) {
            return Pick::Open { until, reason };
        }
        loop {
            let choice = Choice {
                tried: &tried,
                affinity: request.affinity,
                cost: request.cost,
                salt: self.salt,
                now,
            };
            let key = match lane.choose(&self.members, &choice, random) {
                Ok(key) => key,
                Err(Exhausted::Tried) => return Pick::AllTried,
                Err(Exhausted::Lost { returns }) => return Pick::NoneLeft { returns },
                Err(Exhausted::Cooling { soonest, only_the_day_helps }) => {
                    return Pick::AllCooling { soonest, only_the_day_helps };
                }
            };
            let index = if older { self.members.id(key).and_then(|id| roster.find(&id)) } else { Some(key) };
            // A key that this request's roster does not have yet is passed over.
            let Some(index) = index else {
                tried.push(key);
                continue;
            };
            lane.circuit.attempt(now);
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
        roster: &Arc<Roster>,
        model: &str,
        tried: &[usize],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let tried = self.places(roster, tried, self.version != Some(roster.version));
        let lane = self.lanes.get_mut(model)?;
        lane.bring_back(&self.members, now);
        if lane.has_untried(&tried) {
            return Some(now);
        }
        match lane.exhausted(&self.members, now) {
            Exhausted::Cooling { soonest, .. } => Some(soonest),
            Exhausted::Lost { returns } => returns,
            Exhausted::Tried => None,
        }
    }

    /// A lease for trying one certain key, in use or not; `None` if the pool does not have it any more.
    ///
    /// What is sent on it has to be a call that spends: Gemini lists its models to keys that it refuses
    /// everything else, and a success heals.
    pub fn check(&mut self, key: &KeyId, model: &str, cost: Cost, now: Timestamp) -> Option<Lease> {
        let place = self.members.find(key)?;
        let lease = self.lease(place, model, cost, now)?;
        // Whoever asks has heard everything so far, also where the clock stands still meanwhile.
        let heard_at = self.members.heard_at(place);
        let after = heard_at.checked_add(Duration::from_nanos(1)).unwrap_or(heard_at);
        Some(Lease { began: now.max(after), ..lease })
    }

    /// Makes the pool's keys known, as [`Self::pick`] does.
    pub fn meet(&mut self, roster: &Arc<Roster>, now: Timestamp) {
        self.go_over_to(roster, now);
    }

    /// Whether a key should be tried again now, or may have to be as soon as the keys are known.
    #[must_use]
    pub fn has_due_rechecks(&self, now: Timestamp) -> bool {
        let told = |learnt: &Learnt| matches!(learnt.fact, Fact::Standing { next_check: Some(check), .. } if check <= now);
        self.unheard.iter().any(told) || !self.due_rechecks(now).is_empty()
    }

    /// The keys that should be tried again now: one of each project, where the project is refused.
    #[must_use]
    pub fn due_rechecks(&self, now: Timestamp) -> Vec<KeyId> {
        let mut keys = self.due_rechecks_of(false, now);
        keys.extend(self.due_rechecks_of(true, now));
        keys
    }

    /// Those of them that are in a final state, or those that are not.
    #[must_use]
    pub fn due_rechecks_of(&self, in_final_state: bool, now: Timestamp) -> Vec<KeyId> {
        let due = self.members.that_stand(|standing| {
            standing.condition.is_final() == in_final_state
                && standing.next_check.is_some_and(|check| check <= now)
        });
        due.into_iter().filter_map(|key| self.members.id(key)).collect()
    }

    /// Takes in that Gemini does not find a model for a key. Returns `true` if other keys show that the model exists: it
    /// is `listed`, or has answered another key lately.
    pub fn lacks_access(&mut self, key: &KeyId, model: &str, listed: bool, now: Timestamp) -> bool {
        let Some(key) = self.members.find(key) else { return false };
        let lane = self.lanes.get_mut(model);
        lane.is_some_and(|lane| lane.access.exists_without(key, now)) || listed
    }

    /// How a key stands; `None` if the pool does not have it.
    #[must_use]
    pub fn state(&self, key: &KeyId, now: Timestamp) -> Option<KeyState> {
        let key = self.members.find(key)?;
        for standing in self.members.standings_of(key) {
            let is_over =
                standing.condition == Condition::SpendWindow && standing.blocked_until(now).is_none();
            if standing.condition != Condition::Healthy && !is_over {
                return Some(KeyState::Standing(standing.condition));
            }
        }
        let cooling: Vec<_> = self
            .lanes
            .iter()
            .filter_map(|(model, lane)| match lane.blocked(&self.members, key, now)? {
                (until, Block::Hold(hold)) if !hold.counted => Some((model.clone(), until, hold.reason)),
                _ => None,
            })
            .collect();
        Some(if cooling.is_empty() { KeyState::Healthy } else { KeyState::Cooling(cooling) })
    }

    /// Whether Gemini has told anything about a model, here or elsewhere, so that it is one.
    #[must_use]
    pub fn knows_model(&self, model: &str) -> bool {
        self.lanes.get(model).is_some_and(Lane::was_heard_of)
    }

    /// What was learnt since the last call, for a report.
    #[must_use]
    pub fn take_learnt(&mut self, now: Timestamp) -> Vec<Learnt> {
        let mut learnt = std::mem::take(&mut self.learnt);
        let spent = std::mem::take(&mut self.spent);
        learnt.extend(self.callers.take_untold(now));
        learnt.extend(spent.into_iter().map(|((subject, model), cost)| Learnt {
            subject,
            model: Some(model),
            at: now,
            fact: Fact::Spent { requests: cost.requests, tokens: cost.tokens },
        }));
        learnt
    }

    /// Takes a lease back whose attempt came to no end that says anything.
    pub fn abandon(&mut self, lease: &Lease) {
        self.take_back(lease);
    }

    /// Takes a lease back. Gives the place of its key, unless the lease was taken for lost or its key is gone.
    fn take_back(&mut self, lease: &Lease) -> Option<usize> {
        let (key, _) = self.leases.remove(&lease.serial)?;
        self.members.attempt_ended(key);
        Some(key)
    }

    /// What the pool's client keys have used.
    pub const fn callers(&mut self) -> &mut Callers {
        &mut self.callers
    }

    /// How many keys it knows.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.members.len()
    }

    /// Takes on a newer roster. What is known of keys that it still has is kept.
    fn go_over_to(&mut self, roster: &Arc<Roster>, now: Timestamp) {
        if self.version.is_some_and(|version| version >= roster.version) {
            return;
        }
        let members = Members::new(roster, &self.members);
        let before = std::mem::replace(&mut self.members, members);
        self.version = Some(roster.version);
        // Places have moved.
        self.spent_out.clear();
        let members = &mut self.members;
        self.leases.retain(|_, (key, _)| match members.place_of(before.roster(), *key) {
            Some(place) => {
                *key = place;
                members.attempt_began(place);
                true
            }
            None => false,
        });
        for (model, lane) in &mut self.lanes {
            lane.move_to(model, &self.members, &before, now);
        }
        let unheard = std::mem::take(&mut self.unheard);
        self.absorb(&unheard, now);
    }

    /// The places here of keys that a roster, older or the same, has at the given places.
    fn places(&self, roster: &Roster, tried: &[usize], older: bool) -> Vec<usize> {
        if !older {
            return tried.to_vec();
        }
        tried.iter().filter_map(|index| self.members.place_of(roster, *index)).collect()
    }

    fn lease(&mut self, key: usize, model: &str, cost: Cost, now: Timestamp) -> Option<Lease> {
        let id = self.members.id(key)?;
        if let Some(project) = self.members.project_of(key)
            && let Some(budget) = self.lanes.get_mut(model).and_then(|lane| lane.budgets.get_mut(&project))
        {
            budget.spend(cost, now);
            let subject = self.project_subject(key);
            self.spent.entry((subject, model.to_owned())).or_default().add(cost);
        }
        self.last_serial += 1;
        self.members.attempt_began(key);
        self.leases.insert(self.last_serial, (key, now));
        Some(Lease { serial: self.last_serial, key: id, model: model.to_owned(), began: now, cost })
    }

    /// A request that was cut off by the runtime never gives its lease back.
    fn forget_lost_leases(&mut self, now: Timestamp) {
        while let Some(first) = self.leases.first_entry()
            && now.duration_since(first.get().1).unsigned_abs() > LEASE_LIFE
        {
            let (key, _) = first.remove();
            self.members.attempt_ended(key);
        }
    }

    /// Under which name others know the project of a key.
    fn project_subject(&self, key: usize) -> Subject {
        let project = self.members.project_of(key);
        match project.and_then(|project| self.members.project_name(project)) {
            Some(name) => Subject::Project(name.to_string()),
            None => Subject::Key(self.members.id(key).unwrap_or_else(|| KeyId::new(""))),
        }
    }

    fn note(&mut self, subject: Subject, model: Option<&str>, fact: Fact, now: Timestamp) {
        if self.learnt.len() >= MOST_LEARNT {
            self.learnt.drain(..MOST_LEARNT / 2);
        }
        self.learnt.push(Learnt { subject, model: model.map(ToOwned::to_owned), at: now, fact });
    }
}

/// The lane of a model, made where there is none.
fn lane_of<'a>(
    lanes: &'a mut HashMap<String, Lane>,
    members: &Members,
    model: &str,
    now: Timestamp,
) -> &'a mut Lane {
    if !lanes.contains_key(model) && lanes.len() >= MOST_LANES {
        let oldest = lanes.iter().min_by_key(|(_, lane)| lane.used_at).map(|(model, _)| model.clone());
        lanes.remove(&oldest.unwrap_or_default());
    }
    let lane = lanes.entry(model.to_owned()).or_insert_with(|| Lane::new(members, model, now));
    lane.used_at = now;
    lane
}

#[cfg(test)]
mod tests;

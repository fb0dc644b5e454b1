//! Key health as known to the ledger, from the observations of all instances.
//!
//! It returns the condition of each enabled key that is not healthy. The rules are those of the
//! pool engine; a test compares both.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use pool_shared::{Key, KeyCondition, KeyId, KeyState, Pool, PoolId, RestingModel, StateCounts};

use super::migration::name;
use super::stats::unexpected;
use super::{AdminError, Context, Query};
use crate::ledger::{LedgerReply, LedgerRequest};
use crate::platform::Clock;
use crate::ports::AdminHost;
use crate::reporting;
use crate::store::{ConfigStore, EnabledKey, KeysWanted, StateFilter};
use pool_engine::{CoolingReason, HealthState, Observation, ObservationKind, Subject};

/// The enabled keys that are not healthy, by pool; `None` if the ledger is unavailable.
pub(super) struct UnhealthyKeys(Option<BTreeMap<PoolId, HashMap<KeyId, KeyCondition>>>);

impl<H: AdminHost> Context<'_, H> {
    /// Returns the unhealthy keys of a pool, or of all pools. One query of the ledger, and one of
    /// the store unless all keys are healthy.
    pub(super) async fn unhealthy(&self, pool: Option<&PoolId>) -> Result<UnhealthyKeys, AdminError> {
        let now = self.host.clock().now();
        let facts = match self.observations(pool).await {
            Ok(learnt) => facts_by_pool(learnt, now),
            Err(AdminError::Ledger(_)) => return Ok(UnhealthyKeys(None)),
            Err(error) => return Err(error),
        };
        let (mut pools, mut named) = (Vec::new(), KeysWanted::default());
        for (pool, facts) in facts.iter().filter(|(_, facts)| !facts.is_empty()) {
            pools.push(pool.clone());
            facts.name_subjects(&mut named);
        }
        let mut unhealthy: BTreeMap<PoolId, HashMap<KeyId, KeyCondition>> = BTreeMap::new();
        if !pools.is_empty() {
            for EnabledKey { pool, id, project, billing_account } in
                self.host.store().enabled_keys(&pools, &named).await?
            {
                let condition = facts.get(&pool).and_then(|facts| facts.of(&id, &project, &billing_account));
                if let Some(condition) = condition {
                    unhealthy.entry(pool).or_default().insert(id, condition);
                }
            }
        }
        Ok(UnhealthyKeys(Some(unhealthy)))
    }

    /// Returns the ledger's observations of a pool's keys, or of all.
    pub(super) async fn observations(
        &self,
        pool: Option<&PoolId>,
    ) -> Result<Vec<(PoolId, Observation)>, AdminError> {
        let request = LedgerRequest::Learnt { prefix: pool.map(reporting::prefix_of).unwrap_or_default() };
        let mut learnt = Vec::new();
        for reply in self.ask_ledgers_of(pool, &request).await? {
            let LedgerReply::Learnt(records) = reply else { return Err(unexpected()) };
            learnt.extend(reporting::decode(&records));
        }
        Ok(learnt)
    }
}

impl UnhealthyKeys {
    /// Returns `true` if a key is enabled and not healthy, or if that is unknown.
    pub(super) fn is_unhealthy(&self, pool: &PoolId, key: &KeyId) -> bool {
        let Some(pools) = &self.0 else { return true };
        pools.get(pool).is_some_and(|keys| keys.contains_key(key))
    }

    /// Adds the condition of a key.
    pub(super) fn complete(&self, pool: &PoolId, key: &mut Key) {
        key.condition = match &self.0 {
            _ if !key.enabled => KeyCondition::of(KeyState::Disabled),
            None => KeyCondition::of(KeyState::Unknown),
            Some(pools) => pools
                .get(pool)
                .and_then(|keys| keys.get(&key.id).cloned())
                .unwrap_or_else(|| KeyCondition::of(KeyState::Healthy)),
        };
    }

    /// Counts a pool's keys by state.
    pub(super) fn count(&self, pool: &Pool) -> StateCounts {
        let Some(pools) = &self.0 else { return StateCounts::new() };
        let mut counts = StateCounts::new();
        for condition in pools.get(&pool.id).into_iter().flat_map(HashMap::values) {
            *counts.entry(condition.state).or_default() += 1;
        }
        let unhealthy: u64 = counts.values().sum();
        counts.insert(KeyState::Healthy, pool.enabled_keys.saturating_sub(unhealthy));
        counts.insert(KeyState::Disabled, pool.keys.saturating_sub(pool.enabled_keys));
        counts.retain(|_, count| *count > 0);
        counts
    }

    /// Returns the store's filter for the parameter `state=cooling,limited`.
    pub(super) fn filter(&self, pool: &PoolId, query: &Query) -> Result<Option<StateFilter>, AdminError> {
        let Some(text) = query.get("state").filter(|text| !text.is_empty()) else { return Ok(None) };
        let states: Vec<KeyState> = text
            .split(',')
            .map(|state| state.trim().parse().map_err(|_| invalid_state()))
            .collect::<Result<_, _>>()?;
        let empty = HashMap::new();
        let unhealthy = match &self.0 {
            Some(pools) => pools.get(pool).unwrap_or(&empty),
            None if states == [KeyState::Disabled] => &empty,
            None => return Err(unexpected()),
        };
        let chosen = unhealthy.iter().filter(|(_, condition)| states.contains(&condition.state));
        Ok(Some(StateFilter {
            disabled: states.contains(&KeyState::Disabled),
            healthy: states.contains(&KeyState::Healthy),
            chosen: chosen.map(|(id, _)| id.clone()).collect(),
            unhealthy: unhealthy.keys().cloned().collect(),
        }))
    }
}

fn invalid_state() -> AdminError {
    let names: Vec<_> = KeyState::ALL.iter().map(|state| state.name()).collect();
    AdminError::Invalid(format!("'state' is a list of {}", names.join(", ")))
}

/// The keys and projects of a pool with observations in the ledger.
pub(super) struct Known {
    subjects: BTreeSet<Subject>,
    projects: HashMap<KeyId, String>,
    accounts: HashMap<Subject, String>,
}

impl Known {
    pub(super) fn new(learnt: Vec<(PoolId, Observation)>) -> Self {
        let mut known =
            Self { subjects: BTreeSet::new(), projects: HashMap::new(), accounts: HashMap::new() };
        for (_, Observation { subject, fact, .. }) in learnt {
            match (&subject, fact) {
                (Subject::Key(id), ObservationKind::Member { project }) => {
                    known.projects.insert(id.clone(), project);
                }
                (_, ObservationKind::BillingAccount { account }) => {
                    known.accounts.insert(subject.clone(), account);
                }
                _ => {}
            }
            known.subjects.insert(subject);
        }
        known
    }

    /// Returns the project of a key, as reported by Gemini.
    pub(super) fn project(&self, key: &KeyId) -> Option<&str> {
        self.projects.get(key).map(String::as_str)
    }

    /// Returns the observed billing account of a key or project.
    pub(super) fn account(&self, subject: &Subject) -> Option<&str> {
        self.accounts.get(subject).map(String::as_str)
    }

    /// Returns `true` if there are observations of a key or project.
    pub(super) fn is_about(&self, subject: &Subject) -> bool {
        self.subjects.contains(subject)
    }
}

/// The observations of a pool's keys and projects.
#[derive(Default)]
struct Facts {
    /// The projects reported by Gemini.
    projects: HashMap<KeyId, String>,
    /// The observed billing accounts.
    accounts: HashMap<Subject, String>,
    health: BTreeMap<Subject, (Timestamp, KeyCondition)>,
    cooldowns: BTreeMap<Subject, BTreeMap<String, (Timestamp, CoolingReason)>>,
}

fn facts_by_pool(learnt: Vec<(PoolId, Observation)>, now: Timestamp) -> BTreeMap<PoolId, Facts> {
    let mut pools: BTreeMap<PoolId, Facts> = BTreeMap::new();
    let mut cleared: HashMap<(PoolId, Subject), Timestamp> = HashMap::new();
    for (pool, learnt) in learnt.iter().filter(|(_, learnt)| learnt.fact == ObservationKind::Cleared) {
        cleared.insert((pool.clone(), learnt.subject.clone()), learnt.at.min(now));
    }
    for (pool, learnt) in learnt {
        let learnt = learnt.as_of(now).into_owned();
        let is_member = matches!(learnt.fact, ObservationKind::Member { .. });
        let ended = cleared.get(&(pool.clone(), learnt.subject.clone()));
        if !is_member && ended.is_some_and(|ended| learnt.at <= *ended) {
            continue;
        }
        pools.entry(pool).or_default().apply(learnt, now);
    }
    for facts in pools.values_mut() {
        facts.health.retain(|_, (_, condition)| {
            // A spend window and a suspicion end by time, whether a request has confirmed it or
            // not.
            let comes_back = matches!(condition.state, KeyState::Limited | KeyState::Suspect);
            let is_over = comes_back && condition.until.is_some_and(|until| until <= now);
            condition.state != KeyState::Healthy && !is_over
        });
    }
    pools
}

impl Facts {
    fn apply(&mut self, learnt: Observation, now: Timestamp) {
        let Observation { subject, model, at, fact } = learnt;
        match (fact, model) {
            (ObservationKind::Member { project }, _) => {
                if let Subject::Key(id) = subject {
                    self.projects.insert(id, project);
                }
            }
            (ObservationKind::BillingAccount { account }, _) => {
                self.accounts.insert(subject, account);
            }
            (ObservationKind::Health { state: condition, message, next_check, .. }, _)
                if self.health.get(&subject).is_none_or(|(heard_at, _)| *heard_at < at) =>
            {
                self.health.insert(subject, (at, health(condition, message, next_check)));
            }
            (ObservationKind::Cooling { until, reason }, Some(model)) if until > now => {
                let models = self.cooldowns.entry(subject).or_default();
                let cooldown = models.entry(model).or_insert((until, reason));
                *cooldown = (*cooldown).max_by_end((until, reason));
            }
            _ => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.health.is_empty() && self.cooldowns.is_empty()
    }

    /// Adds the keys and projects that are not healthy, and the keys that Gemini counts among such
    /// projects.
    fn name_subjects(&self, wanted: &mut KeysWanted) {
        let KeysWanted { ids, projects, accounts } = wanted;
        for subject in self.health.keys().chain(self.cooldowns.keys()) {
            match subject {
                Subject::Key(id) => ids.insert(id.clone()),
                Subject::Project(name) => projects.insert(name.clone()),
                Subject::Account(name) => accounts.insert(name.clone()),
                Subject::Caller(_) | Subject::ClientKey(_) => false,
            };
        }
        for (subject, _) in self.accounts.iter().filter(|(_, account)| accounts.contains(*account)) {
            match subject {
                Subject::Key(id) => ids.insert(id.clone()),
                Subject::Project(name) => projects.insert(name.clone()),
                _ => false,
            };
        }
        let members = self.projects.iter().filter(|(_, project)| projects.contains(*project));
        ids.extend(members.map(|(id, _)| id.clone()));
    }

    /// Returns the condition of an enabled key. `project` and `account` are the configured ones, or
    /// empty.
    fn of(&self, id: &KeyId, project: &str, account: &str) -> Option<KeyCondition> {
        let learnt = self.projects.get(id).map_or("", String::as_str);
        let project = if project.is_empty() { learnt } else { project };
        let subjects = [Subject::Key(id.clone()), Subject::Project(project.to_owned())];
        let learnt = subjects.iter().rev().find_map(|subject| self.accounts.get(subject));
        let account = if account.is_empty() { learnt.map_or("", String::as_str) } else { account };
        let account = Subject::Account(account.to_owned());
        let health = subjects.iter().chain([&account]).find_map(|subject| self.health.get(subject));
        if let Some((_, condition)) = health {
            return Some(condition.clone());
        }
        let mut models: BTreeMap<&str, (Timestamp, CoolingReason)> = BTreeMap::new();
        for (model, cooldown) in subjects.iter().filter_map(|subject| self.cooldowns.get(subject)).flatten() {
            let longest = models.entry(model).or_insert(*cooldown);
            *longest = (*longest).max_by_end(*cooldown);
        }
        cooldowns(&models)
    }
}

trait LaterEnd {
    /// Returns the one that ends later.
    fn max_by_end(self, other: Self) -> Self;
}

impl LaterEnd for (Timestamp, CoolingReason) {
    fn max_by_end(self, other: Self) -> Self {
        if other.0 > self.0 { other } else { self }
    }
}

fn health(condition: HealthState, message: String, next_check: Option<Timestamp>) -> KeyCondition {
    let (state, reason) = match condition {
        HealthState::Healthy => (KeyState::Healthy, None),
        HealthState::Suspect => (KeyState::Suspect, None),
        HealthState::Invalid => (KeyState::Invalid, None),
        HealthState::Leaked => (KeyState::Leaked, None),
        HealthState::Suspended => (KeyState::Suspended, None),
        HealthState::Billing => (KeyState::Billing, None),
        HealthState::SpendWindow => (KeyState::Limited, Some("spend".to_owned())),
        HealthState::Blocked(reason) => (KeyState::Blocked, Some(name(&reason))),
    };
    let message = Some(message).filter(|message| !message.is_empty());
    KeyCondition { state, until: next_check, reason, message, ..KeyCondition::default() }
}

fn cooldowns(models: &BTreeMap<&str, (Timestamp, CoolingReason)>) -> Option<KeyCondition> {
    let lasting = models.values().find(|(_, reason)| reason.lasts_until_reset());
    let longest = models.values().max_by_key(|(until, _)| *until)?;
    let (_, reason) = lasting.unwrap_or(longest);
    let rows = models.iter().map(|(model, (until, reason))| RestingModel {
        model: (*model).to_owned(),
        until: *until,
        reason: name(reason),
    });
    Some(KeyCondition {
        state: if lasting.is_some() { KeyState::Limited } else { KeyState::Cooling },
        until: Some(longest.0),
        reason: Some(name(reason)),
        message: None,
        models: rows.collect(),
        failing: None,
    })
}

#[cfg(test)]
mod tests;

//! The table of a pool's keys with their health, projects and running attempts, by their places in the key set.
//!
//! A key takes some bytes; only keys and projects with an error take more.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pool_shared::KeyId;

use super::Limits;
use super::health::{HealthState, KeyHealth};
use super::key_set::KeySet;
use super::projects::Projects;
use super::shifted;
use super::verdict::Fault;
use super::weight_tree::WeightTree;

/// All keys of a pool.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    key_set: Arc<KeySet>,
    projects: Projects,
    /// The health of keys and projects about which Gemini returned an error.
    key_health: BTreeMap<usize, KeyHealth>,
    project_health: BTreeMap<usize, KeyHealth>,
    /// By the names of billing accounts: they are few.
    account_health: BTreeMap<Arc<str>, KeyHealth>,
    /// The observed billing accounts of projects, and when they were observed.
    observed_accounts: BTreeMap<usize, (Arc<str>, Timestamp)>,
    /// When an operator last reset keys and projects.
    cleared_keys: BTreeMap<usize, Timestamp>,
    cleared_projects: BTreeMap<usize, Timestamp>,
    /// The weights of all keys, usable or not: the ground that sticky choices are made on.
    pub(super) shares: WeightTree,
    running: Vec<u32>,
    /// Running attempts on all keys.
    pub(super) in_flight: u32,
}

/// Whose health an upstream error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One key.
    Key(usize),
    /// The keys of a project.
    Project(usize),
    /// The keys of a billing account.
    Account(Arc<str>),
}

/// Billing accounts that are kept: names from other instances may belong to no key here.
const MAX_ACCOUNTS: usize = 1_000;

/// The projects that a key has left and joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProjectChange {
    pub(super) left: usize,
    pub(super) joined: usize,
}

fn recovers(health: Option<&mut KeyHealth>, began: Timestamp, now: Timestamp) -> bool {
    health.is_some_and(|health| health.apply_success(began, now))
}

/// Makes a subject healthy as of `at`, unless something was observed since.
fn clear(
    health: &mut BTreeMap<usize, KeyHealth>,
    cleared: &mut BTreeMap<usize, Timestamp>,
    subject: usize,
    at: Timestamp,
) {
    let last = cleared.entry(subject).or_insert(at);
    *last = at.max(*last);
    let health = health.entry(subject).or_default();
    if health.observed_at <= at {
        *health = KeyHealth { observed_at: at, ..KeyHealth::default() };
    }
}

impl KeyTable {
    /// Builds the table of a key set, keeping the state that `before` had of its keys.
    pub(super) fn new(key_set: &Arc<KeySet>, before: &Self) -> Self {
        let keys = &key_set.keys;
        let mut table = Self {
            key_set: Arc::clone(key_set),
            projects: Projects::new(keys.len()),
            shares: WeightTree::new(keys.weights().to_vec()),
            running: vec![0; keys.len()],
            account_health: before.account_health.clone(),
            ..Self::default()
        };
        for key in 0..keys.len() {
            let known = before.place_of(key_set, key);
            let known_project = known.and_then(|known| before.projects.of(known));
            let observed = known_project.and_then(|project| before.projects.name(project));
            let project = match keys.project(key).or(observed) {
                Some(name) => table.projects.join(key, name, keys.limits(key)),
                None => key,
            };
            if let Some(health) = known_project.and_then(|project| before.project_health.get(&project)) {
                table.project_health.entry(project).or_default().merge(health.clone());
            }
            if let Some(health) = known.and_then(|known| before.key_health.get(&known)) {
                table.key_health.insert(key, health.clone());
            }
            if let Some(account) = known_project.and_then(|project| before.observed_accounts.get(&project)) {
                table.observed_accounts.insert(project, account.clone());
            }
            if let Some(at) = known_project.and_then(|project| before.cleared_projects.get(&project)) {
                table.cleared_projects.insert(project, *at);
            }
            if let Some(at) = known.and_then(|known| before.cleared_keys.get(&known)) {
                table.cleared_keys.insert(key, *at);
            }
        }
        table
    }

    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.key_set.keys.len()
    }

    /// Returns the place of a key.
    pub(super) fn find(&self, id: &KeyId) -> Option<usize> {
        self.key_set.find(id)
    }

    /// Returns the place here of a key of another key set.
    pub(super) fn place_of(&self, key_set: &KeySet, key: usize) -> Option<usize> {
        let (own, other) = (&self.key_set.keys, &key_set.keys);
        if key < own.len() && own.id_text(key) == other.id_text(key) {
            return Some(key);
        }
        if own.is_empty() { None } else { self.find(&other.id(key)?) }
    }

    /// Returns the keys as the config has them.
    pub(super) const fn key_set(&self) -> &Arc<KeySet> {
        &self.key_set
    }

    /// Returns a key's id.
    pub(super) fn id(&self, key: usize) -> Option<KeyId> {
        self.key_set.keys.id(key)
    }

    /// Returns a key's share of the traffic.
    pub(super) fn weight(&self, key: usize) -> u16 {
        self.key_set.keys.weight(key)
    }

    /// Running attempts on a key.
    pub(super) fn running(&self, key: usize) -> u32 {
        self.running.get(key).copied().unwrap_or_default()
    }

    /// Returns the project of a name.
    pub(super) fn find_project(&self, name: &str) -> Option<usize> {
        self.projects.find(name)
    }

    /// Returns the project of a key.
    pub(super) fn project_of(&self, key: usize) -> Option<usize> {
        self.projects.of(key)
    }

    /// Returns a project's name; `None` if it is unknown.
    pub(super) fn project_name(&self, project: usize) -> Option<&Arc<str>> {
        self.projects.name(project)
    }

    /// Returns the limits that the operator set for a project.
    pub(super) fn limits_of(&self, project: usize) -> Limits {
        self.projects.limits(project, &self.key_set)
    }

    /// Returns the keys of a project.
    pub(super) fn keys_of_project(&self, project: usize) -> impl Iterator<Item = usize> + use<'_> {
        self.projects.table(project)
    }

    /// Returns the health of a key, if an error was observed.
    pub(super) fn key_health(&self, key: usize) -> Option<&KeyHealth> {
        self.key_health.get(&key)
    }

    /// Returns the health of a project, if an error was observed.
    pub(super) fn project_health(&self, project: usize) -> Option<&KeyHealth> {
        self.project_health.get(&project)
    }

    /// Returns the billing account of a key: the operator's, else the observed one of its project.
    pub(super) fn account_of(&self, key: usize) -> Option<&Arc<str>> {
        let observed = || Some(&self.observed_accounts.get(&self.project_of(key)?)?.0);
        self.key_set.keys.billing_account(key).or_else(observed)
    }

    /// Returns whose health an error on a key is about.
    pub(super) fn scope(&self, key: usize, fault: Fault) -> Scope {
        let project = || self.project_of(key).map_or(Scope::Key(key), Scope::Project);
        match fault {
            Fault::Account => self.account_of(key).cloned().map_or_else(project, Scope::Account),
            Fault::Project => project(),
            _ => Scope::Key(key),
        }
    }

    /// Returns the keys in a scope.
    pub(super) fn keys_in(&self, scope: &Scope) -> Vec<usize> {
        match scope {
            Scope::Key(key) => vec![*key],
            Scope::Project(project) => self.keys_of_project(*project).collect(),
            Scope::Account(account) => {
                (0..self.len()).filter(|key| self.account_of(*key) == Some(account)).collect()
            }
        }
    }

    /// Returns the health of a scope, if an error was observed.
    pub(super) fn health(&self, scope: &Scope) -> Option<&KeyHealth> {
        match scope {
            Scope::Key(key) => self.key_health(*key),
            Scope::Project(project) => self.project_health(*project),
            Scope::Account(account) => self.account_health.get(account),
        }
    }

    /// Returns the health of a scope, to change it.
    pub(super) fn health_mut(&mut self, scope: &Scope) -> &mut KeyHealth {
        match scope {
            Scope::Key(key) => self.key_health_mut(*key),
            Scope::Project(project) => self.project_health_mut(*project),
            Scope::Account(account) => {
                if self.account_health.len() >= MAX_ACCOUNTS && !self.account_health.contains_key(account) {
                    self.account_health.clear();
                }
                self.account_health.entry(Arc::clone(account)).or_default()
            }
        }
    }

    /// Puts a project into a billing account, unless the operator named one for a key of it. Returns `true` if that is
    /// new.
    pub(super) fn record_account(&mut self, project: usize, account: &Arc<str>, at: Timestamp) -> bool {
        let is_set =
            self.keys_of_project(project).any(|key| self.key_set.keys.billing_account(key).is_some());
        let known = self.observed_accounts.get(&project);
        if is_set || known.is_some_and(|(known, since)| known == account || *since > at) {
            return false;
        }
        self.observed_accounts.insert(project, (Arc::clone(account), at));
        true
    }

    /// Returns the observed health of a key, of its project and of its billing account.
    pub(super) fn health_of(&self, key: usize) -> impl Iterator<Item = &KeyHealth> {
        let project = self.projects.of(key).and_then(|project| self.project_health.get(&project));
        let account = if self.account_health.is_empty() { None } else { self.account_of(key) };
        let account = account.and_then(|account| self.account_health.get(account));
        [self.key_health.get(&key), project, account].into_iter().flatten()
    }

    /// Returns when the health of a key, of its project or of its billing account was last observed.
    pub(super) fn observed_at(&self, key: usize) -> Timestamp {
        self.health_of(key).map(|health| health.observed_at).max().unwrap_or(Timestamp::MIN)
    }

    /// Returns the health of a key, to change it.
    pub(super) fn key_health_mut(&mut self, key: usize) -> &mut KeyHealth {
        self.key_health.entry(key).or_default()
    }

    /// Returns the health of a project, to change it.
    pub(super) fn project_health_mut(&mut self, project: usize) -> &mut KeyHealth {
        self.project_health.entry(project).or_default()
    }

    /// Resets a key: what was observed of it up to `at` no longer counts.
    pub(super) fn clear_key(&mut self, key: usize, at: Timestamp) {
        clear(&mut self.key_health, &mut self.cleared_keys, key, at);
    }

    /// Resets a project.
    pub(super) fn clear_project(&mut self, project: usize, at: Timestamp) {
        self.observed_accounts.retain(|other, (_, since)| *other != project || *since > at);
        clear(&mut self.project_health, &mut self.cleared_projects, project, at);
    }

    /// Returns when a key, or its project, was last reset.
    pub(super) fn cleared_at(&self, key: usize, about_project: bool) -> Timestamp {
        let at = match self.project_of(key) {
            Some(project) if about_project => self.cleared_projects.get(&project),
            _ => self.cleared_keys.get(&key),
        };
        at.copied().unwrap_or(Timestamp::MIN)
    }

    /// Returns the keys, and the first keys of projects and accounts, whose health satisfies a condition.
    pub(super) fn filter_by_health(&self, so: impl Fn(&KeyHealth) -> bool) -> Vec<usize> {
        let keys = self.key_health.iter().filter(|(_, health)| so(health)).map(|(key, _)| *key);
        let projects = self.project_health.iter().filter(|(_, health)| so(health));
        let accounts = self.account_health.iter().filter(|(_, health)| so(health));
        let first_of =
            |(account, _): (&Arc<str>, _)| (0..self.len()).find(|key| self.account_of(*key) == Some(account));
        let projects = projects.filter_map(|(project, _)| self.keys_of_project(*project).next());
        keys.chain(projects).chain(accounts.filter_map(first_of)).collect()
    }

    /// Takes in the success of an attempt on a key. Returns the scopes that recovered by it.
    pub(super) fn accepted(&mut self, key: usize, began: Timestamp, now: Timestamp) -> Vec<Scope> {
        let mut scopes = vec![Scope::Key(key)];
        scopes.extend(self.project_of(key).map(Scope::Project));
        scopes.extend(self.account_of(key).cloned().map(Scope::Account));
        scopes.retain(|scope| match scope {
            Scope::Key(key) => recovers(self.key_health.get_mut(key), began, now),
            Scope::Project(project) => recovers(self.project_health.get_mut(project), began, now),
            Scope::Account(account) => recovers(self.account_health.get_mut(account), began, now),
        });
        scopes
    }

    /// Until when a key cannot be used whatever the model, and by which state: its own, its project's or its billing
    /// account's.
    pub(super) fn blocked(&self, key: usize, now: Timestamp) -> Option<(Timestamp, HealthState)> {
        let blocked = self
            .health_of(key)
            .filter_map(|health| health.blocked_until(now).map(|until| (until, health.state)));
        blocked.max_by_key(|(until, _)| *until)
    }

    /// Returns the unhealthy scopes.
    pub(super) fn unhealthy_scopes(&self) -> Vec<Scope> {
        let keys = self.key_health.iter().map(|(key, health)| (Scope::Key(*key), health));
        let projects = self.project_health.iter().map(|(project, health)| (Scope::Project(*project), health));
        let accounts =
            self.account_health.iter().map(|(account, health)| (Scope::Account(Arc::clone(account)), health));
        let all = keys.chain(projects).chain(accounts);
        all.filter(|(_, health)| !health.is_healthy()).map(|(scope, _)| scope).collect()
    }

    /// The clock was set: times move with it.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        let health = self.key_health.values_mut().chain(self.project_health.values_mut());
        for health in health.chain(self.account_health.values_mut()) {
            health.observed_at = shifted(health.observed_at, by);
            health.next_check = health.next_check.map(|check| shifted(check, by));
        }
        let cleared = self.cleared_keys.values_mut().chain(self.cleared_projects.values_mut());
        cleared.for_each(|at| *at = shifted(*at, by));
        self.observed_accounts.values_mut().for_each(|(_, at)| *at = shifted(*at, by));
    }

    /// Moves a key into the project that Gemini named, if that is new. The operator's settings take precedence.
    pub(super) fn join(&mut self, key: usize, name: &str) -> Option<ProjectChange> {
        let left = self.projects.of(key).filter(|_| self.key_set.keys.project(key).is_none())?;
        let left_name = self.projects.name(left);
        if left_name.is_some_and(|left| **left == *name) {
            return None;
        }
        // What was known of the nameless project was about this key alone.
        let is_nameless = left_name.is_none();
        let limits = if is_nameless { self.limits_of(left) } else { Limits::default() };
        let joined = self.projects.join(key, &name.into(), limits);
        if is_nameless && let Some(health) = self.project_health.remove(&left) {
            self.project_health.entry(joined).or_default().merge(health);
        }
        if is_nameless && let Some(account) = self.observed_accounts.remove(&left) {
            self.observed_accounts.entry(joined).or_insert(account);
        }
        Some(ProjectChange { left, joined })
    }

    /// Counts a running attempt.
    pub(super) fn attempt_began(&mut self, key: usize) {
        if let Some(running) = self.running.get_mut(key) {
            *running += 1;
            self.in_flight += 1;
        }
    }

    /// Counts its end.
    pub(super) fn attempt_ended(&mut self, key: usize) {
        if let Some(running) = self.running.get_mut(key)
            && *running > 0
        {
            *running -= 1;
            self.in_flight -= 1;
        }
    }
}

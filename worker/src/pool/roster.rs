//! The keys of a pool as its config has them, and how they are grouped into projects.

use std::collections::HashMap;

use jiff::Timestamp;
use pool_shared::KeyId;

use super::Limits;
use super::standing::Standing;
use super::weight_tree::WeightTree;

/// A pool's enabled keys, without their secrets.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Moves with every change of the pool's config.
    pub version: u64,
    /// The keys, in the order in which a pick names them.
    pub keys: Vec<RosterKey>,
}

/// One key of a [`Roster`].
#[derive(Clone, Debug)]
pub struct RosterKey {
    /// Its id.
    pub id: KeyId,
    /// Its share of the traffic.
    pub weight: u16,
    /// Its project, where the operator named it.
    pub project: Option<String>,
    /// The limits that the operator set for its project, for each model.
    pub limits: Limits,
}

/// A key with everything known about it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: KeyId,
    pub(super) weight: u16,
    /// Whether an operator named the project: nothing learnt changes it then.
    project_is_set: bool,
    pub(super) project: usize,
    pub(super) standing: Standing,
    pub(super) in_flight: u32,
}

/// Keys that share their quotas.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Unknown for a key that is alone in its project as far as anybody knows.
    pub(super) name: Option<String>,
    pub(super) members: Vec<usize>,
    pub(super) standing: Standing,
    pub(super) limits: Limits,
}

/// All keys of a pool, by the places that a roster gave them.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) keys: Vec<Member>,
    pub(super) projects: Vec<Project>,
    by_id: HashMap<KeyId, usize>,
    by_name: HashMap<String, usize>,
    /// The weights of all keys, usable or not: the ground that sticky choices are made on.
    pub(super) shares: WeightTree,
    pub(super) in_flight: u32,
}

impl Members {
    /// Lays out a roster, keeping what `before` knew of its keys.
    pub(super) fn new(roster: &Roster, before: &Self) -> Self {
        let mut members = Self {
            shares: WeightTree::new(roster.keys.iter().map(|key| key.weight).collect()),
            ..Self::default()
        };
        for key in &roster.keys {
            members.add(key, before);
        }
        members
    }

    fn add(&mut self, key: &RosterKey, before: &Self) {
        let known = before.find(&key.id).and_then(|index| before.keys.get(index));
        let known_project = known.and_then(|member| before.projects.get(member.project));
        let learnt = known_project.and_then(|project| project.name.clone());
        let project = match key.project.clone().or(learnt) {
            Some(name) => self.project_named(name),
            None => self.new_project(None),
        };
        let index = self.keys.len();
        if let Some(project) = self.projects.get_mut(project) {
            project.members.push(index);
            project.limits = project.limits.strictest(&key.limits);
            if let Some(known) = known_project {
                project.standing.absorb(known.standing.clone());
            }
        }
        self.by_id.insert(key.id.clone(), index);
        self.keys.push(Member {
            id: key.id.clone(),
            weight: key.weight,
            project_is_set: key.project.is_some(),
            project,
            standing: known.map(|known| known.standing.clone()).unwrap_or_default(),
            in_flight: 0,
        });
    }

    /// The place of a key.
    pub(super) fn find(&self, id: &KeyId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The place of a project.
    pub(super) fn find_project(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The project of a key.
    pub(super) fn project_of(&self, key: usize) -> Option<usize> {
        self.keys.get(key).map(|member| member.project)
    }

    /// The keys of a project.
    pub(super) fn members_of(&self, project: usize) -> &[usize] {
        self.projects.get(project).map_or(&[], |project| &project.members)
    }

    /// Until when neither the key nor its project can be used, whatever the model.
    pub(super) fn blocked_until(&self, key: usize, now: Timestamp) -> Option<Timestamp> {
        let member = self.keys.get(key)?;
        let project = self.projects.get(member.project);
        let project_until = project.and_then(|project| project.standing.blocked_until(now));
        member.standing.blocked_until(now).max(project_until)
    }

    /// Puts a key into the project that Gemini named. Gives the projects that it left and joined, if
    /// that is news.
    pub(super) fn join(&mut self, key: usize, name: &str) -> Option<(usize, usize)> {
        let member = self.keys.get(key).filter(|member| !member.project_is_set)?;
        let left = member.project;
        if self.projects.get(left)?.name.as_deref() == Some(name) {
            return None;
        }
        let joined = self.project_named(name.to_owned());
        let Project { name: left_name, members, standing, limits } = self.projects.get_mut(left)?;
        members.retain(|other| *other != key);
        // What was known of the nameless project was about this key alone.
        let brought = left_name.is_none().then(|| (standing.clone(), *limits));
        if let Some(project) = self.projects.get_mut(joined) {
            project.members.push(key);
            if let Some((standing, limits)) = brought {
                project.standing.absorb(standing);
                project.limits = project.limits.strictest(&limits);
            }
        }
        if let Some(member) = self.keys.get_mut(key) {
            member.project = joined;
        }
        Some((left, joined))
    }

    /// Counts a running attempt.
    pub(super) fn attempt_began(&mut self, key: usize) {
        if let Some(member) = self.keys.get_mut(key) {
            member.in_flight += 1;
            self.in_flight += 1;
        }
    }

    /// Counts its end.
    pub(super) fn attempt_ended(&mut self, key: usize) {
        if let Some(member) = self.keys.get_mut(key)
            && member.in_flight > 0
        {
            member.in_flight -= 1;
            self.in_flight -= 1;
        }
    }

    fn project_named(&mut self, name: String) -> usize {
        match self.by_name.get(&name) {
            Some(project) => *project,
            None => self.new_project(Some(name)),
        }
    }

    fn new_project(&mut self, name: Option<String>) -> usize {
        let index = self.projects.len();
        if let Some(name) = &name {
            self.by_name.insert(name.clone(), index);
        }
        self.projects.push(Project { name, ..Project::default() });
        index
    }
}

//! The projects of a pool's keys: keys of one project share its quotas.
//!
//! Projects are named by the operator or by Gemini. A key whose project is unknown has an unnamed one of
//! its own, which takes no room.
//!
//! # Invariants
//!
//! - A key belongs to exactly one project.

use std::collections::HashMap;
use std::sync::Arc;

use super::Limits;
use super::key_set::KeySet;

/// The projects of a pool's keys, by numbers. Those below the number of keys are nameless: the project of the key at
/// that place, until it joins another one.
#[derive(Debug, Default)]
pub(super) struct Projects {
    /// Of each key.
    numbers: Vec<u32>,
    /// The key after each key in the ring of its project's keys.
    next: Vec<u32>,
    named: Vec<Named>,
    by_name: HashMap<Arc<str>, u32>,
}

#[derive(Debug)]
struct Named {
    name: Arc<str>,
    /// The last of its ring, if it has any keys.
    last: Option<u32>,
    limits: Option<Box<Limits>>,
}

impl Projects {
    /// Returns unnamed projects for this many keys.
    pub(super) fn new(keys: usize) -> Self {
        let numbers: Vec<u32> = (0..).take(keys).collect();
        Self { next: numbers.clone(), numbers, ..Self::default() }
    }

    /// Returns the project of a key.
    pub(super) fn of(&self, key: usize) -> Option<usize> {
        self.numbers.get(key).map(|project| *project as usize)
    }

    /// Returns the project of a name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).map(|project| *project as usize)
    }

    /// Returns a project's name; `None` if it is unknown.
    pub(super) fn name(&self, project: usize) -> Option<&Arc<str>> {
        self.named(project).map(|named| &named.name)
    }

    /// Returns the limits that the operator set for a project.
    pub(super) fn limits(&self, project: usize, key_set: &KeySet) -> Limits {
        match self.named(project) {
            Some(named) => named.limits.as_deref().copied().unwrap_or_default(),
            None => key_set.keys.limits(project),
        }
    }

    /// Returns the keys of a project.
    pub(super) fn table(&self, project: usize) -> impl Iterator<Item = usize> + use<'_> {
        let last = match self.named(project) {
            Some(named) => named.last.map(|last| last as usize),
            None => Some(project).filter(|key| self.of(*key) == Some(project)),
        };
        let after = |key: usize| self.next.get(key).map(|next| *next as usize);
        std::iter::successors(last.and_then(after), move |key| after(*key).filter(|_| Some(*key) != last))
    }

    /// Puts a key into the project of a name, with the limits that it brings. Gives the number of that project.
    pub(super) fn join(&mut self, key: usize, name: &Arc<str>, limits: Limits) -> usize {
        let project = self.find(name).unwrap_or_else(|| self.add(name));
        if self.of(key) == Some(project) {
            return project;
        }
        self.leave(key);
        let Ok(place) = u32::try_from(key) else { return project };
        let first = self.named(project).and_then(|named| named.last).and_then(|last| self.after(last));
        let Some(named) = self.named_mut(project) else { return project };
        let last = named.last.replace(place);
        if !limits.is_empty() {
            named.limits =
                Some(Box::new(named.limits.as_deref().map_or(limits, |own| own.strictest(&limits))));
        }
        // Between the last and the first, or alone.
        self.link(last.unwrap_or(place), place);
        self.link(place, first.unwrap_or(place));
        if let Some(number) = self.numbers.get_mut(key) {
            *number = u32::try_from(project).unwrap_or_default();
        }
        project
    }

    /// Takes a key out of the ring of a named project.
    fn leave(&mut self, key: usize) {
        let Some(left) = self.of(key).filter(|project| self.named(*project).is_some()) else { return };
        let Some(before) = self.table(left).find(|other| self.next_is(*other, key)) else { return };
        let last = u32::try_from(before).ok().filter(|_| before != key);
        let next = self.next.get(key).copied().unwrap_or_default();
        if let Some(last) = last {
            self.link(last, next);
        }
        if let Some(named) = self.named_mut(left)
            && named.last.is_some_and(|last| last as usize == key)
        {
            named.last = last;
        }
    }

    fn next_is(&self, key: usize, next: usize) -> bool {
        self.next.get(key).is_some_and(|found| *found as usize == next)
    }

    fn after(&self, key: u32) -> Option<u32> {
        self.next.get(key as usize).copied()
    }

    fn link(&mut self, key: u32, next: u32) {
        if let Some(slot) = self.next.get_mut(key as usize) {
            *slot = next;
        }
    }

    fn add(&mut self, name: &Arc<str>) -> usize {
        let project = self.numbers.len() + self.named.len();
        self.by_name.insert(Arc::clone(name), u32::try_from(project).unwrap_or_default());
        self.named.push(Named { name: Arc::clone(name), last: None, limits: None });
        project
    }

    fn named(&self, project: usize) -> Option<&Named> {
        self.named.get(project.checked_sub(self.numbers.len())?)
    }

    fn named_mut(&mut self, project: usize) -> Option<&mut Named> {
        self.named.get_mut(project.checked_sub(self.numbers.len())?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: usize = 8;

    proptest! {
        #[test]
        fn it_agrees_with_plain_lists(
            joins in proptest::collection::vec((0..KEYS, 0_usize..4, 0_u64..3), 0..40),
        ) {
            let (mut projects, key_set) = (Projects::new(KEYS), KeySet::default());
            let mut plain: Vec<Vec<usize>> = vec![Vec::new(); 4];
            let mut limits: Vec<Limits> = vec![Limits::default(); 4];
            for (key, name, limit) in joins {
                let brought = Limits {
                    tokens_per_day: Some(limit).filter(|limit| *limit > 0), ..Limits::default()
                };
                let joined = projects.join(key, &name.to_string().into(), brought);
                prop_assert_eq!(projects.find(&name.to_string()), Some(joined));
                if plain[name].contains(&key) {
                    continue;
                }
                for keys in &mut plain {
                    keys.retain(|other| *other != key);
                }
                plain[name].push(key);
                limits[name] = limits[name].strictest(&brought);
            }
            for (name, keys) in plain.iter().enumerate() {
                let Some(project) = projects.find(&name.to_string()) else {
                    prop_assert!(keys.is_empty());
                    continue;
                };
                prop_assert_eq!(&projects.table(project).collect::<Vec<_>>(), keys);
                prop_assert_eq!(projects.limits(project, &key_set), limits[name]);
                prop_assert!(keys.iter().all(|key| projects.of(*key) == Some(project)));
            }
            for key in 0..KEYS {
                let alone = !plain.iter().any(|keys| keys.contains(&key));
                prop_assert_eq!(projects.of(key) == Some(key), alone);
                let own: Vec<usize> = if alone { vec![key] } else { Vec::new() };
                prop_assert_eq!(projects.table(key).collect::<Vec<_>>(), own);
                prop_assert_eq!(projects.name(key), None);
            }
        }
    }
}

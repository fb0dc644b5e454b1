//! Pairing of tool results with their calls.
//!
//! # Invariants
//! - A result is paired with one call at most.
//! - A result stays unpaired only if no open call can match it.

use std::collections::{HashMap, VecDeque};

use super::{CallSite, calls_of};
use crate::openai::{Message, said};
use crate::request::signatures::split_id;

/// What a result was matched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The id of its call.
    Id,
    /// The function that was called.
    Name,
    /// Its place among the results of a turn.
    Place,
}

/// How many calls with one id are looked through for a name.
const MAX_SAME_IDS: usize = 64;

/// A call: its site, and its place in there.
type Place = (usize, usize);

/// Calls of one turn: of assistants' messages between which nobody else speaks.
#[derive(Debug, Default)]
struct Turn<'r> {
    calls: VecDeque<Place>,
    by_name: HashMap<&'r str, VecDeque<Place>>,
}

#[derive(Debug, Default)]
struct Pairing<'r> {
    sites: Vec<CallSite<'r>>,
    /// By message: what its result was matched by.
    matched: Vec<Option<By>>,
    turns: Vec<Turn<'r>>,
    /// The calls with an id, by turn, the last turn last: clients use an id again in later turns.
    by_id: HashMap<&'r str, Vec<(usize, VecDeque<Place>)>>,
}

/// Finds the call of every result: first by id (the n-th result with an id answers the n-th call with it, or the n-th to
/// the function that the result names), in the nearest turn before it; what is left by the name of its function and then by its place, among the calls of the turn before it
/// that no result has answered.
pub(super) fn pair<'r>(messages: &'r [Message<'r>]) -> (Vec<CallSite<'r>>, Vec<Option<By>>) {
    let mut pairing = Pairing { matched: vec![None; messages.len()], ..Pairing::default() };
    // Results that no id has matched, and their turns.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut goes_on = false;
    for (index, message) in messages.iter().enumerate() {
        match &*message.role {
            "assistant" => goes_on |= pairing.add_calls(index, message, goes_on),
            "tool" | "function" => {
                goes_on = false;
                let name = said(message.name.as_ref());
                let place = said(message.tool_call_id.as_ref())
                    .and_then(|id| pairing.next_with(split_id(id).0, name));
                match (place, pairing.turns.len().checked_sub(1)) {
                    (Some(place), _) => pairing.answer(place, index, By::Id),
                    (None, Some(turn)) => open.push((index, turn)),
                    (None, None) => {}
                }
            }
            _ => goes_on = false,
        }
    }
    for by in [By::Name, By::Place] {
        open.retain(|(index, turn)| {
            let name = messages.get(*index).and_then(|message| said(message.name.as_ref()));
            let place = pairing.next_open(*turn, name, by);
            if let Some(place) = place {
                pairing.answer(place, *index, by);
            }
            place.is_none()
        });
    }
    (pairing.sites, pairing.matched)
}

impl<'r> Pairing<'r> {
    /// Takes in an assistant's calls. Whether there are any.
    fn add_calls(&mut self, index: usize, message: &'r Message<'r>, goes_on: bool) -> bool {
        let calls = calls_of(message);
        if calls.is_empty() {
            return false;
        }
        if !goes_on || self.turns.is_empty() {
            self.turns.push(Turn::default());
        }
        let number = self.turns.len().saturating_sub(1);
        let site = self.sites.len();
        for (slot, call) in calls.iter().enumerate() {
            if let Some(turn) = self.turns.last_mut() {
                turn.calls.push_back((site, slot));
                turn.by_name.entry(call.name).or_default().push_back((site, slot));
            }
            let Some(id) = call.id else { continue };
            let turns = self.by_id.entry(id).or_default();
            match turns.last_mut() {
                Some((turn, places)) if *turn == number => places.push_back((site, slot)),
                _ => turns.push((number, VecDeque::from([(site, slot)]))),
            }
        }
        let results = vec![None; calls.len()];
        self.sites.push(CallSite { message: index, calls, results });
        true
    }

    /// Returns the next call with this id, of the nearest turn that has one; of those to different functions the next one to the
    /// function that the result names.
    fn next_with(&mut self, id: &str, name: Option<&str>) -> Option<Place> {
        let sites = &self.sites;
        let is_named = |(site, slot): &Place| {
            let call = sites.get(*site).and_then(|site| site.calls.get(*slot));
            call.is_some_and(|call| Some(call.name) == name)
        };
        let turns = self.by_id.get_mut(id)?;
        loop {
            let (_, places) = turns.last_mut()?;
            let twins = places.iter().take(MAX_SAME_IDS);
            let named = twins.enumerate().find(|(_, place)| is_named(place)).map(|(at, _)| at);
            match places.remove(named.unwrap_or(0)) {
                Some(place) => return Some(place),
                None => turns.pop(),
            };
        }
    }

    /// Returns the next call of a turn that has no result yet.
    fn next_open(&mut self, turn: usize, name: Option<&str>, by: By) -> Option<Place> {
        let sites = &self.sites;
        let answered = |(site, slot): Place| {
            sites.get(site).and_then(|site| site.results.get(slot)).is_none_or(Option::is_some)
        };
        let turn = self.turns.get_mut(turn)?;
        let places = if by == By::Name { turn.by_name.get_mut(name?)? } else { &mut turn.calls };
        // What has a result now will never be without one again.
        while places.front().is_some_and(|place| answered(*place)) {
            places.pop_front();
        }
        places.pop_front()
    }

    fn answer(&mut self, (site, slot): Place, index: usize, by: By) {
        let free = self.sites.get_mut(site).and_then(|site| site.results.get_mut(slot));
        if let (Some(free), Some(matched)) = (free, self.matched.get_mut(index)) {
            *free = Some(index);
            *matched = Some(by);
        }
    }
}

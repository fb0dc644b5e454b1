//! Recent errors.

use std::collections::VecDeque;

use pool_shared::{Event, EventList};

use super::stats::unexpected;
use super::{AdminError, Context, HandlerResult, Query, ok, position};
use crate::ledger::{LedgerReply, LedgerRequest};
use crate::ports::AdminHost;

/// Default number of events.
const DEFAULT_LIMIT: u32 = 100;

/// The events of one shard.
struct Given {
    events: VecDeque<(u64, Event)>,
    /// The number after which its next events start.
    last: u64,
}

impl<H: AdminHost> Context<'_, H> {
    pub(super) async fn events(&self, query: &Query) -> HandlerResult {
        let limit = query.limit(DEFAULT_LIMIT)? as usize;
        let pool = match (self.own_pool_of(query).await?, query.get("pool")) {
            (Some(own), _) => Some(own),
            (None, Some(reference)) => Some(self.pool(reference).await?.id),
            (None, None) => None,
        };
        let shards = self.admin.state.reporter.ledger_shards().all();
        let after = query.get("after").map(|cursor| parse_cursor(cursor, shards.count())).transpose()?;
        self.admin.state.reporter.flush_once(self.host).await;
        let mut given = Vec::new();
        for (index, shard) in self.admin.state.reporter.ledger_shards().all().enumerate() {
            let after = after.as_ref().and_then(|numbers| numbers.get(index).copied());
            let request = LedgerRequest::Events { pool: pool.clone(), after, limit };
            let reply = self.admin.state.reporter.ask_ledger(self.host, shard, request).await?;
            let LedgerReply::Events { events, last } = reply else { return Err(unexpected()) };
            given.push(Given { events: events.into(), last });
        }
        ok(&merged(given, limit, after.is_some()))
    }
}

/// Merges the events of all shards by time, at most `limit`: the oldest ones after a cursor,
/// otherwise the newest.
fn merged(mut given: Vec<Given>, limit: usize, first: bool) -> EventList {
    let mut events = Vec::new();
    let total: usize = given.iter().map(|given| given.events.len()).sum();
    let mut surplus = if first { 0 } else { total.saturating_sub(limit) };
    while events.len() < limit {
        let heads = given.iter_mut().filter(|given| !given.events.is_empty());
        let earliest = heads.min_by_key(|given| given.events.front().map(|(_, event)| event.at));
        let Some((_, event)) = earliest.and_then(|given| given.events.pop_front()) else { break };
        if surplus > 0 {
            surplus -= 1;
        } else {
            events.push(event);
        }
    }
    // The rest is returned with the next request.
    let numbers = given.iter().map(|given| given.events.front().map_or(given.last, |(number, _)| number - 1));
    let numbers: Vec<_> = numbers.map(|number| number.to_string()).collect();
    EventList { events, cursor: numbers.join("-") }
}

/// Parses a cursor: one number per shard.
fn parse_cursor(cursor: &str, shards: usize) -> Result<Vec<u64>, AdminError> {
    let numbers: Option<Vec<u64>> = cursor.split('-').map(position).collect();
    numbers
        .filter(|numbers| numbers.len() == shards)
        .ok_or_else(|| AdminError::Invalid("the query parameter 'after' is not a cursor".to_owned()))
}

#[cfg(test)]
mod tests {
    use pool_shared::{AttemptOutcome, KeyId, PoolId};

    use super::*;

    fn given(times: &[i64], last: u64) -> Given {
        let event = |at: &i64| Event {
            at: jiff::Timestamp::from_second(*at).unwrap(),
            pool: PoolId::new("pool"),
            key: KeyId::new("key"),
            model: "m".to_owned(),
            verdict: AttemptOutcome::Key,
            message: String::new(),
            count: 1,
            quota: None,
            unknown_text: false,
            client_key: None,
        };
        let numbered = |(index, at)| (last - times.len() as u64 + 1 + index as u64, event(at));
        Given { events: times.iter().enumerate().map(numbered).collect(), last }
    }

    fn seen(list: &EventList) -> (Vec<i64>, &str) {
        (list.events.iter().map(|event| event.at.as_second()).collect(), &list.cursor)
    }

    #[test]
    fn events_of_several_ledgers_are_merged_and_none_is_passed_over() {
        let two = || vec![given(&[1, 4, 5], 3), given(&[2, 3], 12)];
        assert_eq!(seen(&merged(two(), 10, true)), (vec![1, 2, 3, 4, 5], "3-12"));
        assert_eq!(seen(&merged(two(), 3, true)), (vec![1, 2, 3], "1-12"));
        assert_eq!(seen(&merged(two(), 2, false)), (vec![4, 5], "3-12"));
        assert_eq!(parse_cursor("3-12", 2).unwrap(), [3, 12]);
        assert!(parse_cursor("3-12", 1).is_err());
        assert!(parse_cursor("", 1).is_err());
    }
}

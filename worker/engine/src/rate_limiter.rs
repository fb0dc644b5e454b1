//! The rate limiter of client keys: sliding windows, merged across instances.
//!
//! Use is counted as for the quotas of projects: exactly in this instance, and as far as other instances
//! have reported it. The number of client keys that are kept is bounded.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use pool_shared::{ClientKeyId, ClientKeyRules, Limits, Quota};

use super::model_rules::ModelRules;
use super::observation::{Observation, ObservationKind, Subject};
use super::quota::{Cost, QuotaTracker};
use super::shifted;
use crate::ids::{TokenHash, TokenTag};

/// Minimum interval between two observations that a client key is used.
const LAST_USED_INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// Client keys with counts; the least recently used one is evicted.
const MAX_CLIENTS: usize = 4_096;

/// What a client key may do, ready for use.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    /// Whose rules they are.
    pub id: ClientKeyId,
    /// How much it may ask for.
    pub limits: Limits,
    /// The models that it may use.
    pub models: ModelRules,
    /// None for everywhere.
    networks: Option<Vec<IpNet>>,
}

impl ClientLimits {
    /// Takes the rules as stored.
    #[must_use]
    pub fn new(id: ClientKeyId, rules: ClientKeyRules) -> Self {
        let ClientKeyRules { limits, allowed_models, allowed_networks } = rules;
        // An unreadable network admits no client; dropping the whole list would admit every client.
        let networks = allowed_networks.iter().filter_map(|network| network.parse().ok()).collect();
        let networks = (!allowed_networks.is_empty()).then_some(networks);
        Self { id, limits, models: ModelRules::new(allowed_models), networks }
    }

    /// Returns `true` if it may be used from an address. Where that is not known, it may not, if it matters.
    #[must_use]
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let Some(networks) = &self.networks else { return true };
        address.is_some_and(|address| {
            let address = address.to_canonical();
            networks.iter().any(|network| network.contains(&address))
        })
    }
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which one.
    pub quota: Quota,
    /// How much it allows.
    pub limit: u64,
    /// How much of that is left.
    pub remaining: u64,
    /// When all of it is.
    pub resets_at: Timestamp,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// The limit.
    pub quota: Quota,
    /// How much it allows.
    pub limit: u64,
    /// When a retry fits; `None` if the request alone exceeds the limit.
    pub until: Option<Timestamp>,
}

/// What the client keys of a pool have used, and when.
#[derive(Debug, Default)]
pub struct RateLimiter {
    limited: HashMap<ClientKeyId, Client>,
    /// When the use of a client key was last published, here or by another instance.
    told: HashMap<TokenTag, Timestamp>,
    unreported: Vec<Observation>,
}

#[derive(Debug)]
struct Client {
    tracker: QuotaTracker,
    /// Use that was not reported yet.
    unreported: Cost,
    used_at: Timestamp,
}

impl RateLimiter {
    /// Admits or rejects a request, and returns what is left of each limit.
    pub fn admit(
        &mut self,
        rules: &ClientLimits,
        cost: Cost,
        now: Timestamp,
    ) -> (Result<(), OverLimit>, Vec<Left>) {
        let client = self.of(&rules.id, now);
        client.tracker.set_limits(rules.limits);
        client.used_at = now;
        let over = client.tracker.exceeded_limit(cost, now);
        if over.is_none() {
            client.tracker.spend(cost, now);
            // Tokens are reported after Gemini has counted them.
            client.unreported.add(Cost { tokens: 0, ..cost });
        }
        (over.map_or(Ok(()), Err), client.tracker.left(now))
    }

    /// Replaces a request's estimated tokens with Gemini's count.
    pub fn correct(&mut self, client: &ClientKeyId, estimated: u64, counted: u64) {
        if let Some(client) = self.limited.get_mut(client) {
            client.tracker.correct(estimated, counted);
            client.unreported.add(Cost { requests: 0, tokens: counted });
        }
    }

    /// Records that a client key is used; published once an hour.
    pub fn used(&mut self, client_key: &TokenHash, now: Timestamp) {
        let tag = client_key.tag();
        if self.told.get(&tag).is_some_and(|told| now < *told + LAST_USED_INTERVAL) {
            return;
        }
        self.unreported.push(Observation {
            subject: Subject::ClientKey(tag.clone()),
            model: None,
            at: now,
            fact: ObservationKind::Used,
        });
        self.note_use(tag, now);
    }

    fn note_use(&mut self, tag: TokenTag, at: Timestamp) {
        if self.told.len() >= MAX_CLIENTS {
            // A duplicate observation is cheaper than unbounded memory.
            self.told.clear();
        }
        let told = self.told.entry(tag).or_insert(at);
        *told = (*told).max(at);
    }

    /// Merges an observation of another instance. Returns `false` if it is not about a client key.
    pub(super) fn merge(&mut self, observation: &Observation, now: Timestamp) -> bool {
        match (&observation.subject, &observation.fact) {
            (Subject::Caller(id), ObservationKind::Spent { requests, tokens }) => {
                let cost = Cost { requests: *requests, tokens: *tokens };
                self.of(id, now).tracker.record_remote(cost, observation.at, now);
            }
            (Subject::ClientKey(tag), ObservationKind::Used) if now < observation.at + LAST_USED_INTERVAL => {
                self.note_use(tag.clone(), observation.at);
            }
            (Subject::Caller(_) | Subject::ClientKey(_), _) => {}
            (Subject::Key(_) | Subject::Project(_) | Subject::Account(_), _) => return false,
        }
        true
    }

    /// The clock was set: times move with it.
    pub(super) fn shift(&mut self, by: SignedDuration, now: Timestamp) {
        for client in self.limited.values_mut() {
            client.tracker.shift(by, now);
            client.used_at = shifted(client.used_at, by);
        }
        self.told.values_mut().for_each(|told| *told = shifted(*told, by));
        self.unreported.iter_mut().for_each(|observation| observation.shift(by));
    }

    /// Returns the observations that were not reported yet.
    pub(super) fn drain_unreported(&mut self, now: Timestamp) -> impl Iterator<Item = Observation> {
        let limited = self.limited.iter_mut().filter(|(_, client)| client.unreported != Cost::default());
        let spent = limited.map(move |(id, client)| {
            let Cost { requests, tokens } = std::mem::take(&mut client.unreported);
            let subject = Subject::Caller(id.clone());
            Observation { subject, model: None, at: now, fact: ObservationKind::Spent { requests, tokens } }
        });
        spent.chain(self.unreported.drain(..))
    }

    fn of(&mut self, id: &ClientKeyId, now: Timestamp) -> &mut Client {
        if !self.limited.contains_key(id) && self.limited.len() >= MAX_CLIENTS {
            let oldest =
                self.limited.iter().min_by_key(|(_, client)| client.used_at).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| self.limited.remove(&oldest));
        }
        let new = || Client {
            tracker: QuotaTracker::new(Limits::default(), now),
            unreported: Cost::default(),
            used_at: now,
        };
        self.limited.entry(id.clone()).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn rules(limits: Limits, networks: &[&str]) -> ClientLimits {
        let allowed_networks = networks.iter().map(ToString::to_string).collect();
        ClientLimits::new(
            ClientKeyId::new("ck-1"),
            ClientKeyRules { limits, allowed_networks, ..ClientKeyRules::default() },
        )
    }

    const fn cost(tokens: u64) -> Cost {
        Cost { requests: 1, tokens }
    }

    #[test]
    fn a_network_admits_its_own_addresses_only() {
        let address = |text: &str| Some(text.parse().unwrap());
        let office = rules(Limits::default(), &["192.0.2.0/24", "2001:db8::/32"]);
        for inside in ["192.0.2.0", "192.0.2.255", "2001:db8::1", "::ffff:192.0.2.7"] {
            assert!(office.admits(address(inside)), "{inside}");
        }
        for outside in ["192.0.3.0", "2001:db9::1", "::ffff:192.0.3.1", "::1", "127.0.0.1"] {
            assert!(!office.admits(address(outside)), "{outside}");
        }
        assert!(!office.admits(None));
        assert!(rules(Limits::default(), &[]).admits(None));
        assert!(!rules(Limits::default(), &["nonsense"]).admits(address("127.0.0.1")));
    }

    #[test]
    fn a_limit_refuses_until_something_is_free_and_tells_what_is_left() {
        let limits =
            Limits { requests_per_minute: Some(2), tokens_per_minute: Some(1_000), ..Limits::default() };
        let (rules, mut rate_limiter) = (rules(limits, &[]), RateLimiter::default());
        let (admitted, left) = rate_limiter.admit(&rules, cost(600), at(0));
        assert_eq!(admitted, Ok(()));
        assert_eq!(left.iter().map(|left| left.remaining).collect::<Vec<_>>(), [1, 400]);
        assert_eq!(left[0].resets_at, at(65));
        let over = |quota, limit, until| Err(OverLimit { quota, limit, until });
        let tokens = over(Quota::TokensPerMinute, 1_000, Some(at(65)));
        assert_eq!(rate_limiter.admit(&rules, cost(500), at(30)).0, tokens);
        let never = over(Quota::TokensPerMinute, 1_000, None);
        assert_eq!(rate_limiter.admit(&rules, cost(1_001), at(30)).0, never);
        rate_limiter.correct(&rules.id, 600, 100);
        assert_eq!(rate_limiter.admit(&rules, cost(500), at(30)).0, Ok(()));
        let requests = over(Quota::RequestsPerMinute, 2, Some(at(65)));
        assert_eq!(rate_limiter.admit(&rules, cost(1), at(31)).0, requests);
        assert_eq!(rate_limiter.admit(&rules, cost(1), at(65)).0, Ok(()));
    }

    #[test]
    fn a_day_ends_at_midnight_in_california() {
        let limits = Limits { requests_per_day: Some(1), ..Limits::default() };
        let (rules, mut rate_limiter) = (rules(limits, &[]), RateLimiter::default());
        assert_eq!(rate_limiter.admit(&rules, cost(1), at(0)).0, Ok(()));
        let midnight = crate::next_quota_day(at(0));
        let refused = rate_limiter.admit(&rules, cost(1), at(600)).0.unwrap_err();
        assert_eq!((refused.quota, refused.until), (Quota::RequestsPerDay, Some(midnight)));
        assert_eq!(rate_limiter.admit(&rules, cost(1), midnight).0, Ok(()));
    }

    #[test]
    fn what_one_tells_counts_for_the_other() {
        let limits = Limits { requests_per_minute: Some(2), tokens_per_day: Some(100), ..Limits::default() };
        let (rules, mut here, mut there) =
            (rules(limits, &[]), RateLimiter::default(), RateLimiter::default());
        here.admit(&rules, cost(10), at(0)).0.unwrap();
        here.correct(&rules.id, 10, 95);
        let told: Vec<_> = here.drain_unreported(at(1)).collect();
        assert_eq!(told[0].fact, ObservationKind::Spent { requests: 1, tokens: 95 });
        assert_eq!(here.drain_unreported(at(1)).count(), 0);
        assert!(there.merge(&told[0], at(2)));
        let refused = there.admit(&rules, cost(10), at(2)).0.unwrap_err();
        assert_eq!(refused.quota, Quota::TokensPerDay);
        assert_eq!(there.admit(&rules, cost(5), at(2)).0, Ok(()));
        assert_eq!(there.admit(&rules, cost(0), at(2)).0.unwrap_err().quota, Quota::RequestsPerMinute);
    }

    #[test]
    fn a_use_is_told_once_an_hour_and_not_where_somebody_else_told_it() {
        let [one, other] = ["one", "other"].map(|name| {
            let hash: TokenHash = serde_json::from_value(name.repeat(10).into()).unwrap();
            hash
        });
        let (mut here, mut there) = (RateLimiter::default(), RateLimiter::default());
        let told =
            |rate_limiter: &mut RateLimiter, now| rate_limiter.drain_unreported(at(now)).collect::<Vec<_>>();
        here.used(&one, at(0));
        here.used(&one, at(3_599));
        let changed = told(&mut here, 3_599);
        assert_eq!((changed.len(), changed[0].at, &changed[0].fact), (1, at(0), &ObservationKind::Used));
        assert!(there.merge(&changed[0], at(5)));
        there.used(&one, at(3_599));
        assert_eq!(told(&mut there, 3_599), []);
        there.used(&other, at(3_599));
        there.used(&one, at(3_600));
        assert_eq!(told(&mut there, 3_600).len(), 2);
        let many = (0..=MAX_CLIENTS).map(|number| {
            let hash: TokenHash = serde_json::from_value(format!("{number:032}").into()).unwrap();
            hash
        });
        many.for_each(|hash| there.used(&hash, at(3_600)));
        assert!(there.told.len() <= MAX_CLIENTS);
    }

    #[test]
    fn a_window_is_no_longer_when_the_clock_is_set_and_no_limit_is_passed_by_it() {
        let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
        for hours in [-4, -24, 4, 24] {
            let (rules, mut rate_limiter, by) =
                (rules(limits, &[]), RateLimiter::default(), hours * 3_600 + 1);
            for _ in 0..2 {
                rate_limiter.admit(&rules, cost(1), at(0)).0.unwrap();
            }
            rate_limiter.shift(SignedDuration::from_secs(by), at(by + 10));
            let over = rate_limiter.admit(&rules, cost(1), at(by + 10)).0.unwrap_err();
            let wait = over.until.unwrap().duration_since(at(by + 10)).as_secs();
            assert!((50..=65).contains(&wait), "{hours}: {wait}");
            assert_eq!(rate_limiter.admit(&rules, cost(1), over.until.unwrap()).0, Ok(()));
        }
    }

    proptest! {
        #[test]
        fn no_minute_ever_holds_more_requests_than_the_limit(
            gaps in proptest::collection::vec(0_i64..20, 1..200), limit in 1_u64..8
        ) {
            let limits = Limits { requests_per_minute: Some(limit), ..Limits::default() };
            let (rules, mut rate_limiter, mut now) = (rules(limits, &[]), RateLimiter::default(), at(0));
            let mut admitted: Vec<Timestamp> = Vec::new();
            for gap in gaps {
                now += jiff::SignedDuration::from_secs(gap);
                match rate_limiter.admit(&rules, cost(1), now).0 {
                    Ok(()) => admitted.push(now),
                    Err(over) => prop_assert!(over.until.is_some_and(|until| until > now)),
                }
                let recent = admitted.iter().filter(|at| now.duration_since(**at).as_secs() < 60).count();
                prop_assert!(recent as u64 <= limit);
            }
        }
    }
}

use super::*;
use pool_engine::{BlockReason, KeySet, KeySetEntry, PoolState};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn key(number: usize) -> KeyId {
    KeyId::new(format!("key-{number}"))
}

fn learnt(subject: Subject, model: Option<&str>, seconds: i64, fact: ObservationKind) -> Observation {
    Observation { subject, model: model.map(ToOwned::to_owned), at: at(seconds), fact }
}

fn in_health(condition: HealthState) -> ObservationKind {
    ObservationKind::Health {
        state: condition,
        message: "because".to_owned(),
        next_check: Some(at(5_000)),
        checks: 0,
    }
}

fn cooling(until: i64, reason: CoolingReason) -> ObservationKind {
    ObservationKind::Cooling { until: at(until), reason }
}

/// Keys 0 to 5. The operator assigned 2 and 3 to a project, Gemini reported 4 in it.
fn facts() -> Vec<Observation> {
    let one = |number| Subject::Key(key(number));
    let project = || Subject::Project("projects/7".to_owned());
    vec![
        learnt(one(4), None, 1, ObservationKind::Member { project: "projects/7".to_owned() }),
        learnt(one(0), Some("a"), 2, cooling(1_100, CoolingReason::Requests)),
        learnt(one(0), Some("b"), 2, cooling(1_200, CoolingReason::Burst)),
        learnt(one(0), Some("c"), 2, cooling(900, CoolingReason::Burst)),
        learnt(project(), Some("a"), 3, cooling(9_000, CoolingReason::Day)),
        learnt(one(3), None, 4, in_health(HealthState::Blocked(BlockReason::Referrer))),
        learnt(one(1), None, 6, in_health(HealthState::Healthy)),
        learnt(one(1), None, 5, in_health(HealthState::Billing)),
        learnt(one(5), None, 6, ObservationKind::BillingAccount { account: "learnt:x".to_owned() }),
        learnt(Subject::Account("learnt:x".to_owned()), None, 7, in_health(HealthState::SpendWindow)),
    ]
}

fn project(number: usize) -> &'static str {
    if matches!(number, 2 | 3) { "projects/7" } else { "" }
}

fn of_ledger(now: Timestamp) -> Facts {
    let pool = PoolId::new("pool-1");
    let learnt = facts().into_iter().map(|learnt| (pool.clone(), learnt)).collect();
    facts_by_pool(learnt, now).remove(&pool).unwrap()
}

#[test]
fn a_key_s_state_has_its_reason_and_its_end() {
    let facts = of_ledger(at(1_000));
    let cooling = facts.of(&key(0), "", "").unwrap();
    assert_eq!((cooling.state, cooling.until), (KeyState::Cooling, Some(at(1_200))));
    let models: Vec<_> =
        cooling.models.iter().map(|rest| (rest.model.as_str(), rest.reason.as_str())).collect();
    assert_eq!(models, [("a", "requests"), ("b", "burst")]);
    assert_eq!(facts.of(&key(1), "", ""), None, "what was said later holds");
    let limited = facts.of(&key(2), "projects/7", "").unwrap();
    assert_eq!((limited.state, limited.reason.as_deref()), (KeyState::Limited, Some("day")));
    let blocked = facts.of(&key(3), "projects/7", "").unwrap();
    assert_eq!((blocked.state, blocked.reason.as_deref()), (KeyState::Blocked, Some("referrer")));
    assert_eq!((blocked.message.as_deref(), blocked.until), (Some("because"), Some(at(5_000))));
    assert_eq!(facts.of(&key(4), "", "").unwrap().state, KeyState::Limited, "Gemini named its project");
    assert_eq!(facts.of(&key(4), "other", ""), None, "the operator knows better");
    let spent = facts.of(&key(5), "", "").unwrap();
    assert_eq!(
        (spent.state, spent.reason.as_deref(), spent.until),
        (KeyState::Limited, Some("spend"), Some(at(5_000)))
    );
    assert_eq!(facts.of(&key(5), "", "other"), None, "the operator knows better");
    assert_eq!(facts.of(&key(1), "", "learnt:x").unwrap().state, KeyState::Limited);
    assert_eq!(of_ledger(at(5_000)).of(&key(5), "", ""), None, "it comes back by itself");
}

#[test]
fn the_store_is_asked_for_no_more_keys_than_can_be_unwell() {
    let mut wanted = KeysWanted::default();
    of_ledger(at(1_000)).name_subjects(&mut wanted);
    assert_eq!(wanted.ids, BTreeSet::from([key(0), key(3), key(4), key(5)]));
    assert_eq!(wanted.projects, BTreeSet::from(["projects/7".to_owned()]));
    assert_eq!(wanted.accounts, BTreeSet::from(["learnt:x".to_owned()]));
}

/// The pool engine selects keys, so the displayed states must equal its own.
#[test]
fn what_is_shown_is_what_the_engine_does() {
    let keys = (0..6).map(|number| KeySetEntry {
        id: key(number),
        weight: pool_shared::Weight::default(),
        project: Some(project(number).to_owned()).filter(|project| !project.is_empty()),
        billing_account: None,
        limits: pool_shared::Limits::default(),
    });
    for now in [1_000, 1_150, 8_000, 20_000] {
        let mut runtime = PoolState::default();
        runtime.register_keys(&std::sync::Arc::new(KeySet::of(1, keys.clone())), at(0));
        runtime.merge(&facts(), at(now));
        let facts = of_ledger(at(now));
        for number in 0..6 {
            let shown = facts.of(&key(number), project(number), "");
            let models = |cooling: Vec<(String, Timestamp, CoolingReason)>| {
                let mut names: Vec<_> = cooling.into_iter().map(|(model, ..)| model).collect();
                names.sort();
                names
            };
            match runtime.state(&key(number), at(now)).unwrap() {
                pool_engine::KeyState::Healthy => assert_eq!(shown, None, "{number} at {now}"),
                pool_engine::KeyState::Unhealthy(condition) => {
                    let expected = health(condition, String::new(), None).state;
                    assert_eq!(shown.unwrap().state, expected, "{number} at {now}");
                }
                pool_engine::KeyState::Cooling(cooling) => {
                    let shown = shown.unwrap().models.into_iter().map(|rest| rest.model);
                    assert_eq!(shown.collect::<Vec<_>>(), models(cooling), "{number} at {now}");
                }
            }
        }
    }
}

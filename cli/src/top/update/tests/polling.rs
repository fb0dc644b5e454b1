//! Tests of polling: which fetches are due, backoff and the connection state.

use super::*;

#[test]
fn nothing_is_asked_twice_at_a_time_and_the_interval_is_kept() {
    let mut model = fixture::fresh(80, 24);
    assert_eq!(fetches(&pass(&mut model, 0)), [&Fetch::Overview]);
    assert!(pass(&mut model, 5_000).is_empty(), "the answer is still on its way");
    let overview = || FetchedData::Overview(Box::new(fixture::overview(&["prod", "test"])));
    let commands = fixture::tell(&mut model, Fetch::Overview, overview());
    let focus = Fetch::Focus { pool: fixture::pool("prod").id, step: StatsStep::Minute, keys: false };
    let sweep = Fetch::Sweep { pool: fixture::pool("test").id, step: StatsStep::Minute };
    assert_eq!(fetches(&commands), [&Fetch::Events(None), &Fetch::Health, &focus, &sweep]);
    assert!(pass(&mut model, 900).is_empty());
    assert_eq!(fetches(&pass(&mut model, 100)), [&Fetch::Overview]);
}

#[test]
fn a_slow_answer_is_asked_for_less_often_but_at_most_ten_seconds_later() {
    for (seconds, pause) in [(1, 9_000), (2, 10_000), (16, 10_000), (120, 10_000)] {
        let mut model = fixture::fresh(80, 24);
        pass(&mut model, 0);
        let took = Duration::from_secs(seconds);
        let result = Ok(FetchedData::Overview(Box::new(fixture::overview(&[]))));
        update(&mut model, Message::Fetched { fetch: Fetch::Overview, took, result });
        let asked = |commands: &[Command]| fetches(commands).contains(&&Fetch::Overview);
        assert!(!asked(&pass(&mut model, pause - 1)), "{seconds}");
        assert!(asked(&pass(&mut model, 1)), "{seconds}");
    }
}

#[test]
fn a_slow_service_is_said_to_be_slow() {
    let mut model = fixture::fresh(80, 24);
    pass(&mut model, 0);
    let overview = || Ok(FetchedData::Overview(Box::new(fixture::overview(&["prod"]))));
    let took = Duration::from_millis(20);
    update(&mut model, Message::Fetched { fetch: Fetch::Overview, took, result: overview() });
    pass(&mut model, 1_000);
    assert_eq!(model.trouble(), None);
    pass(&mut model, 12_000);
    assert!(model.stale().is_some());
    assert_eq!(model.trouble().unwrap(), "slow: no response for 12s");
    let took = Duration::from_secs(16);
    pass(&mut model, 4_000);
    update(&mut model, Message::Fetched { fetch: Fetch::Overview, took, result: overview() });
    assert_eq!((model.stale(), model.trouble().unwrap().as_str()), (None, "slow: responded in 16s"));
}

#[test]
fn only_the_pool_that_was_asked_for_is_asked_for() {
    let one = |id: &str| vec![Fetch::OverviewOf(id.to_owned())];
    let overviews = |commands: &[Command]| {
        let all = fetches(commands).into_iter().filter(|fetch| fetch.is_overview());
        all.cloned().collect::<Vec<_>>()
    };
    let options = |pool: Option<&str>, only: Option<PoolId>| {
        let mut options = fixture::fresh(80, 24).options;
        options.pool = pool.map(str::to_owned);
        options.only = only;
        options
    };
    let size = Size { width: 80, height: 24 };
    let start = |options| Model::new(options, Duration::from_secs(1), size, fixture::at(0));
    let prod = fixture::pool("prod").id;

    let mut model = start(options(Some("prod"), None));
    assert_eq!(overviews(&pass(&mut model, 0)), one("prod"));
    let answer = FetchedData::Overview(Box::new(fixture::overview(&["prod"])));
    fixture::tell(&mut model, Fetch::OverviewOf("prod".to_owned()), answer);
    assert_eq!(overviews(&pass(&mut model, 1_000)), one(prod.as_str()));
    let commands = fail(&mut model, Fetch::OverviewOf(prod.to_string()), Code::Service(ErrorCode::NotFound));
    assert_eq!((model.pool.clone(), model.tab), (None, Tab::Pools), "it was deleted");
    assert_eq!(overviews(&commands), [Fetch::Overview]);

    let mut model = start(options(None, Some(prod.clone())));
    assert_eq!(overviews(&pass(&mut model, 0)), one(prod.as_str()), "a token of one pool");
    let commands = fail(&mut model, Fetch::OverviewOf(prod.to_string()), Code::Service(ErrorCode::NotFound));
    assert!(matches!(commands.first(), Some(Command::Fail(_))));
}

#[test]
fn keys_are_asked_for_again_when_the_pool_changed() {
    let mut model = with_keys();
    let keys =
        |commands: &[Command]| fetches(commands).iter().any(|fetch| matches!(fetch, Fetch::Keys { .. }));
    assert!(!keys(&pass(&mut model, 3_000)));
    let mut overview = fixture::overview(&["prod", "test"]);
    overview.pools[0].version += 1;
    let told = FetchedData::Overview(Box::new(overview));
    assert!(keys(&fixture::tell(&mut model, Fetch::Overview, told)));
    let refused = Fetch::Keys { pool: fixture::pool("prod").id, version: 8 };
    let commands = fail(&mut model, refused, Code::Service(ErrorCode::Forbidden));
    assert!(!keys(&commands) && !keys(&pass(&mut model, 10_000)), "whoever is refused does not insist");
}

#[test]
fn a_service_that_goes_away_is_asked_less_and_less_and_comes_back_by_itself() {
    let mut model = with_keys();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        fail(&mut model, Fetch::Overview, Code::Unreachable);
        let mut pause = 0;
        while fetches(&pass(&mut model, 1_000)).is_empty() {
            pause += 1;
        }
        pauses.push(pause + 1);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(model.list().rows.len(), 6, "the last data stays");
    assert!(model.stale().unwrap() > 100);

    fixture::tell(&mut model, Fetch::Overview, FetchedData::Overview(Box::new(fixture::overview(&["prod"]))));
    assert_eq!((&model.connection, model.stale()), (&ConnectionState::Up, None));
    assert!(model.notice.as_ref().unwrap().text.contains("connection restored"));
}

#[test]
fn a_service_that_does_not_even_refuse_is_stale() {
    let mut model = with_keys();
    pass(&mut model, 5_000);
    assert_eq!(model.stale(), None);
    pass(&mut model, 1_000);
    assert_eq!(model.stale(), Some(6));
}

#[test]
fn whoever_is_not_let_in_is_told_at_once_but_not_in_the_middle() {
    let refused = Code::Service(ErrorCode::Unauthorized);
    let mut model = fixture::fresh(80, 24);
    assert!(matches!(fail(&mut model, Fetch::Overview, refused)[..], [Command::Fail(_), ..]));
    let mut model = with_keys();
    assert!(fetches(&fail(&mut model, Fetch::Overview, refused)).is_empty());
    assert!(matches!(model.connection, ConnectionState::Down { .. }));
}

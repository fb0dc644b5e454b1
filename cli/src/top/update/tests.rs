//! What messages do to the state, and what they lead to.

use std::time::Duration;

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use pool_shared::{ErrorCode, KeyId, PoolId, StatsStep, Weight};
use ratatui::layout::Size;

use super::update;
use crate::{
    error::{CliError, Code},
    top::{
        change::{Change, Target},
        columns::Field,
        data::MAX_EVENTS,
        fixture,
        list::Tab,
        message::{Answer, Command, Fetch, Message},
        model::{ConnectionState, Mode, Model},
    },
};

fn press(model: &mut Model, keys: &str) -> Vec<Command> {
    let code = |key| match key {
        '\n' => KeyCode::Enter,
        '\u{1b}' => KeyCode::Esc,
        '\u{8}' => KeyCode::Backspace,
        key => KeyCode::Char(key),
    };
    keys.chars().flat_map(|key| update(model, Message::Key(KeyEvent::from(code(key))))).collect()
}

fn pass(model: &mut Model, milliseconds: u64) -> Vec<Command> {
    let clock = model.clock + Duration::from_millis(milliseconds);
    let now = fixture::at(i64::try_from(clock.as_secs()).unwrap());
    update(model, Message::Tick { now, clock })
}

fn fail(model: &mut Model, fetch: Fetch, code: Code) -> Vec<Command> {
    let result = Err(CliError::new(code, "no"));
    update(model, Message::Fetched { fetch, took: Duration::ZERO, result })
}

fn fetches(commands: &[Command]) -> Vec<&Fetch> {
    fn fetch(command: &Command) -> Option<&Fetch> {
        match command {
            Command::Fetch(fetch) => Some(fetch),
            _ => None,
        }
    }
    commands.iter().filter_map(fetch).collect()
}

fn with_keys() -> Model {
    let mut model = fixture::model(80, 24);
    press(&mut model, "\n");
    fixture::tell_keys(&mut model, fixture::keys());
    model
}

fn listed(model: &Model) -> Vec<String> {
    let records = model.records();
    let name = |place: &usize| records.get(*place).unwrap().value(Field::Name).exact();
    model.list().rows.iter().map(name).collect()
}

fn current(model: &Model) -> String {
    model.list().current(&model.records()).unwrap().value(Field::Name).exact()
}

#[test]
fn nothing_is_asked_twice_at_a_time_and_the_interval_is_kept() {
    let mut model = fixture::fresh(80, 24);
    assert_eq!(fetches(&pass(&mut model, 0)), [&Fetch::Overview]);
    assert!(pass(&mut model, 5_000).is_empty(), "the answer is still on its way");
    let overview = || Answer::Overview(Box::new(fixture::overview(&["prod", "test"])));
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
        let result = Ok(Answer::Overview(Box::new(fixture::overview(&[]))));
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
    let overview = || Ok(Answer::Overview(Box::new(fixture::overview(&["prod"]))));
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
    assert_eq!((model.stale(), model.trouble().unwrap().as_str()), (None, "slow: answered in 16s"));
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
    let answer = Answer::Overview(Box::new(fixture::overview(&["prod"])));
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
    let told = Answer::Overview(Box::new(overview));
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

    fixture::tell(&mut model, Fetch::Overview, Answer::Overview(Box::new(fixture::overview(&["prod"]))));
    assert_eq!((&model.connection, model.stale()), (&ConnectionState::Up, None));
    assert!(model.notice.as_ref().unwrap().text.contains("answers again"));
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

#[test]
fn a_pool_that_is_not_there_has_a_name_that_is() {
    let mut model = fixture::fresh(80, 24);
    model.options.pool = Some("prd".to_owned());
    let overview = Answer::Overview(Box::new(fixture::overview(&["prod"])));
    let commands = fixture::tell(&mut model, Fetch::Overview, overview);
    let Some(Command::Fail(error)) = commands.into_iter().next() else { panic!() };
    assert_eq!(error.to_string(), "there is no pool prd\n  hint: did you mean prod?");
}

#[test]
fn a_pool_that_was_deleted_leads_back_to_the_others() {
    let mut model = with_keys();
    fixture::tell(&mut model, Fetch::Overview, Answer::Overview(Box::new(fixture::overview(&["test"]))));
    assert_eq!((model.tab, &model.pool), (Tab::Pools, &None));
    assert_eq!(listed(&model), ["test"]);
}

#[test]
fn the_cursor_stays_on_its_row_when_the_order_changes() {
    let mut model = with_keys();
    press(&mut model, "jj");
    assert_eq!(current(&model), "key 2");
    press(&mut model, "S");
    assert_eq!(current(&model), "key 2");
    press(&mut model, "/team-b\n");
    assert_eq!(current(&model), "key 5");
}

#[test]
fn the_worst_keys_come_first_and_what_is_not_known_last() {
    let mut model = with_keys();
    assert_eq!(listed(&model), ["key 3", "key 6", "key 2", "key 1", "key 5", "old"]);
    let mut stats = fixture::pool_stats("prod", &fixture::keys()[..1]);
    stats.keys[0].last_used = Some(fixture::at(-9));
    let focus = Fetch::Focus { pool: fixture::pool("prod").id, step: StatsStep::Minute, keys: true };
    fixture::tell(&mut model, focus, Answer::Recent(Box::new(stats)));
    model.list_mut().0.sort.field = Field::LastUsed;
    for order in ["S", "S"] {
        press(&mut model, order);
        assert_eq!(listed(&model)[0], "key 1", "the others were never used");
    }
}

#[test]
fn what_is_marked_and_in_sight_is_changed_after_a_yes() {
    let mut model = with_keys();
    press(&mut model, "a/team-a");
    assert_eq!(model.marks.len(), 6);
    press(&mut model, "\nd");
    let Mode::Confirm(selection, Change::Disable) = &model.mode else { panic!("{:?}", model.mode) };
    assert_eq!((selection.target.len(), selection.hidden), (5, 1), "team-b is out of sight");
    assert!(press(&mut model, "n").is_empty());
    let commands = press(&mut model, "dy");
    let [Command::Act(Target::Keys { pool, ids }, Change::Disable)] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!(*pool, fixture::pool("prod").id);
    assert!(!ids.contains(&KeyId::from_random(5)) && ids.len() == 5);
    assert!(model.marks.is_empty());
}

#[test]
fn marks_that_are_all_out_of_sight_change_nothing() {
    let mut model = with_keys();
    press(&mut model, "a/nothing like it\nd");
    assert_eq!(model.mode, Mode::List);
    assert!(press(&mut model, "y").is_empty());
}

#[test]
fn a_weight_is_asked_for_and_must_be_one() {
    let mut model = with_keys();
    let commands = press(&mut model, "w9999\n");
    assert!(commands.is_empty() && matches!(model.mode, Mode::Weight(..)));
    let commands = press(&mut model, "\u{8}\u{8}\u{8}\u{8}7\n");
    let seven = Weight::try_from(7).unwrap();
    assert!(
        matches!(&commands[..], [Command::Act(Target::Keys { ids, .. }, Change::Weight(weight))]
            if *weight == seven && ids.len() == 1),
        "{commands:?}"
    );
}

#[test]
fn read_only_changes_nothing() {
    let mut model = with_keys();
    model.options.read_only = true;
    for keys in ["dy", "ey", "cy", "w5\n"] {
        assert!(press(&mut model, keys).iter().all(|command| !matches!(command, Command::Act(..))), "{keys}");
    }
    assert!(model.notice.as_ref().unwrap().text.contains("--read-only"));
}

#[test]
fn pools_are_switched_off_by_name() {
    let mut model = fixture::model(80, 24);
    let commands = press(&mut model, "dy");
    let ids = vec![fixture::pool("prod").id];
    let change = commands.iter().find(|command| matches!(command, Command::Act(..)));
    assert!(
        matches!(change, Some(Command::Act(Target::Pools(pools), Change::Disable)) if *pools == ids),
        "{commands:?}"
    );
}

#[test]
fn a_pause_keeps_the_screen_but_not_the_data() {
    let mut model = with_keys();
    press(&mut model, "p");
    fixture::tell_keys(&mut model, Vec::new());
    assert_eq!(model.list().rows.len(), 6);
    press(&mut model, "p");
    assert_eq!(model.list().rows.len(), 0);
}

#[test]
fn a_filter_can_be_taken_back() {
    let mut model = with_keys();
    press(&mut model, "/team-b\n");
    assert_eq!(listed(&model), ["key 5"]);
    press(&mut model, "/x\u{1b}");
    assert_eq!(model.list().filter.text(), "team-b");
    press(&mut model, "\u{1b}");
    assert_eq!(model.list().rows.len(), 6);
    press(&mut model, "\u{1b}");
    assert_eq!((model.tab, current(&model).as_str()), (Tab::Pools, "prod"), "the cursor is where it was");
}

#[test]
fn letters_belong_to_whoever_asks() {
    let mut model = with_keys();
    assert!(press(&mut model, "/q?d").is_empty());
    assert_eq!(model.list().filter.text(), "q?d");
    let quit = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(matches!(update(&mut model, Message::Key(quit))[..], [Command::Quit]));
    let release = KeyEvent { kind: KeyEventKind::Release, ..quit };
    assert!(update(&mut model, Message::Key(release)).is_empty());
}

#[test]
fn events_are_kept_up_to_a_number_and_shown_for_the_pool() {
    let mut model = fixture::model(80, 24);
    for _ in 0..=MAX_EVENTS / 3 {
        fixture::tell(&mut model, Fetch::Events(None), Answer::Events(fixture::events()));
    }
    assert_eq!(model.live.events.len(), MAX_EVENTS);
    press(&mut model, "4");
    assert_eq!(model.list().rows.len(), MAX_EVENTS);
    press(&mut model, "1jj\n");
    press(&mut model, "4");
    assert_eq!(model.list().rows.len(), 0, "all of them are the other pool's");
}

#[test]
fn the_mouse_chooses_tabs_columns_and_rows() {
    let mut model = with_keys();
    let mut click = |column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        update(&mut model, Message::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }));
        (model.tab, model.list().sort.field, model.list().cursor)
    };
    assert_eq!(click(3, 8), (Tab::Keys, Field::State, 2), "the third row");
    assert_eq!(click(3, 5).1, Field::Key, "the first title");
    assert_eq!(click(20, 2).0, Tab::Models, "the third tab");
    assert_eq!(click(79, 23).0, Tab::Models, "nothing there");
}

#[test]
fn another_size_keeps_the_cursor_in_view() {
    let mut model = with_keys();
    fixture::tell_keys(&mut model, (1..=500).map(fixture::key).collect());
    press(&mut model, "G");
    update(&mut model, Message::Resize(Size { width: 60, height: 12 }));
    let list = model.list();
    assert_eq!((list.cursor, list.top), (499, 493));
    update(&mut model, Message::Resize(Size { width: 200, height: 600 }));
    assert_eq!(model.list().top, 0);
}

#[test]
fn only_a_new_second_is_drawn() {
    let mut model = with_keys();
    model.dirty = false;
    pass(&mut model, 250);
    assert!(!model.dirty);
    pass(&mut model, 750);
    assert!(model.dirty);
}

#[test]
fn another_span_forgets_the_last_one() {
    let mut model = with_keys();
    let commands = press(&mut model, "t");
    assert!(model.live.recent.is_empty());
    assert!(
        fetches(&commands).iter().any(|fetch| matches!(fetch, Fetch::Focus { step: StatsStep::Hour, .. }))
    );
}

//! Tests of the update function: messages, state and commands.

mod polling;

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
        message::{Command, Fetch, FetchedData, Message},
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
fn a_pool_that_is_not_there_has_a_name_that_is() {
    let mut model = fixture::fresh(80, 24);
    model.options.pool = Some("prd".to_owned());
    let overview = FetchedData::Overview(Box::new(fixture::overview(&["prod"])));
    let commands = fixture::tell(&mut model, Fetch::Overview, overview);
    let Some(Command::Fail(error)) = commands.into_iter().next() else { panic!() };
    assert_eq!(error.to_string(), "pool prd not found\n  hint: did you mean prod?");
}

#[test]
fn a_pool_that_was_deleted_leads_back_to_the_others() {
    let mut model = with_keys();
    fixture::tell(&mut model, Fetch::Overview, FetchedData::Overview(Box::new(fixture::overview(&["test"]))));
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
    fixture::tell(&mut model, focus, FetchedData::Recent(Box::new(stats)));
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
        fixture::tell(&mut model, Fetch::Events(None), FetchedData::Events(fixture::events()));
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

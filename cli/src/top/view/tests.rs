//! Snapshots of the screen at every size, and of every state at 80x24.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};
use pool_shared::{KeyCondition, KeyState};
use ratatui::{Terminal, backend::TestBackend, style::Style};

use super::view;
use crate::{
    error::{CliError, Code},
    top::{
        fixture,
        list::Tab,
        message::{Fetch, FetchedData, Message},
        model::Model,
        theme::Theme,
        update::update,
    },
};

pub(super) fn drawn(model: &Model) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(model.size.width, model.size.height)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal
}

macro_rules! assert_screen {
    ($name:literal, $model:expr) => {
        insta::assert_snapshot!($name, drawn($model).backend())
    };
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            key => KeyCode::Char(key),
        };
        update(model, Message::Key(KeyEvent::from(code)));
    }
}

pub(super) fn with_keys(width: u16, height: u16) -> Model {
    let mut model = fixture::model(width, height);
    press(&mut model, "\n");
    fixture::tell_keys(&mut model, fixture::keys());
    model
}

fn pass(model: &mut Model, seconds: u64) {
    let now = fixture::at(i64::try_from(seconds).unwrap());
    update(model, Message::Tick { now, clock: Duration::from_secs(seconds) });
}

fn fail(model: &mut Model) {
    let error = CliError::new(Code::Unreachable, "cannot reach the pool service at http://127.0.0.1:8787")
        .cause("connection refused")
        .hint("is it running, and is its URL right?");
    update(model, Message::Fetched { fetch: Fetch::Overview, took: Duration::ZERO, result: Err(error) });
}

#[test]
fn every_size() {
    assert_screen!("pools_120x40", &fixture::model(120, 40));
    assert_screen!("pools_80x24", &fixture::model(80, 24));
    assert_screen!("pools_60x12", &fixture::model(60, 12));
    assert_screen!("pools_20x5", &fixture::model(20, 5));
    assert_screen!("pools_1x1", &fixture::model(1, 1));
    assert_screen!("keys_120x40", &with_keys(120, 40));
    assert_screen!("keys_60x12", &with_keys(60, 12));
}

#[test]
fn nothing_panics_at_any_size() {
    for width in [0, 1, 2, 5, 20, 40, 59, 60, 61, 79, 80, 99, 100, 101, 130] {
        for height in [0, 1, 2, 3, 5, 8, 11, 12, 13, 17, 18, 23, 24, 40] {
            let mut model = with_keys(width, height);
            for keys in ["?", "?", "d", "n", "w12", "\n", "/x", "\n", "3", "4", "5", "1"] {
                press(&mut model, keys);
                drawn(&model);
            }
        }
    }
}

#[test]
fn every_tab() {
    let mut model = with_keys(80, 24);
    assert_screen!("keys", &model);
    press(&mut model, "3");
    assert_screen!("models", &model);
    press(&mut model, "4");
    assert_screen!("events", &model);
    press(&mut model, "5");
    fixture::tell(
        &mut model,
        Fetch::ClientKeys(fixture::pool("prod").id),
        FetchedData::ClientKeys(fixture::client_keys()),
    );
    assert_screen!("client_keys", &model);
}

#[test]
fn before_there_is_anything() {
    let mut model = fixture::fresh(80, 24);
    assert_screen!("waiting", &model);
    fail(&mut model);
    assert_screen!("error", &model);
    fixture::tell(&mut model, Fetch::Overview, FetchedData::Overview(Box::new(fixture::overview(&[]))));
    assert_screen!("empty", &model);
}

#[test]
fn a_service_that_went_away() {
    let mut model = with_keys(80, 24);
    pass(&mut model, 3);
    fail(&mut model);
    pass(&mut model, 12);
    assert_screen!("stale", &model);
    assert_screen!("stale_20x5", &{
        let mut model = fixture::model(20, 5);
        fail(&mut model);
        model
    });
}

#[test]
fn filtered_marked_and_asked() {
    let mut model = with_keys(80, 24);
    press(&mut model, "  /team-a");
    assert_screen!("filter_typed", &model);
    press(&mut model, "\n");
    assert_screen!("filtered", &model);
    press(&mut model, "d");
    assert_screen!("confirm", &model);
    press(&mut model, "nw12");
    assert_screen!("weight", &model);
    press(&mut model, "\n");
    assert_screen!("under_way", &model);
    press(&mut model, "/nothing like it\n");
    assert_screen!("filtered_out", &model);
}

#[test]
fn help() {
    let mut model = with_keys(80, 24);
    press(&mut model, "?");
    assert_screen!("help", &model);
    press(&mut model, "jjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjjj");
    assert_screen!("help_end", &model);
}

#[test]
fn five_thousand_keys() {
    let mut model = with_keys(80, 24);
    fixture::tell_keys(&mut model, (1..=5_000).map(fixture::key).collect());
    press(&mut model, "G");
    assert_screen!("keys_5000", &model);
}

#[test]
fn paused_and_read_only() {
    let mut model = with_keys(80, 24);
    model.options.read_only = true;
    press(&mut model, "p");
    assert_screen!("paused", &model);
}

#[test]
fn ascii_is_ascii() {
    let mut model = with_keys(120, 40);
    model.options.ascii = true;
    press(&mut model, " d");
    let screen = drawn(&model).backend().to_string();
    // The string has no frame around the screen.
    assert!(screen.is_ascii(), "{screen}");
    insta::assert_snapshot!("ascii", screen);
}

/// Coloured texts with their styles.
#[test]
fn colours_say_what_words_say() {
    let mut model = with_keys(80, 24);
    for (name, theme) in [("dark", Theme::Dark), ("light", Theme::Light)] {
        model.options.theme = theme;
        let terminal = drawn(&model);
        let mut runs: Vec<(Style, String)> = Vec::new();
        for cell in &terminal.backend().buffer().content {
            match runs.last_mut() {
                Some((style, text)) if *style == cell.style() => text.push_str(cell.symbol()),
                _ => runs.push((cell.style(), cell.symbol().to_owned())),
            }
        }
        let coloured = runs.iter().filter(|(_, text)| !text.trim().is_empty());
        let lines: Vec<_> = coloured
            .map(|(style, text)| {
                let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{:?} {:?} {:?}: {text}", style.fg, style.bg, style.add_modifier)
            })
            .collect();
        insta::assert_snapshot!(format!("theme_{name}"), lines.join("\n"));
        assert_eq!(model.tab, Tab::Keys);
    }
}

#[test]
fn a_state_that_is_rechecked_has_room_to_say_so() {
    for width in [60, 80, 120, 200] {
        let mut model = fixture::model(width, 20);
        press(&mut model, "\n");
        let mut keys = fixture::keys();
        let until = Some(fixture::at(42 * 60));
        keys[0].condition = KeyCondition { until, ..KeyCondition::of(KeyState::Billing) };
        fixture::tell_keys(&mut model, keys);
        let screen = drawn(&model).backend().to_string();
        assert!(screen.contains("billing (rechecked 42m)"), "{width}: {screen}");
    }
}

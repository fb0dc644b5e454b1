//! Which key does what: the one table that input, the help (`?`), the hints in the last line and
//! `poolctl top --help` are made of.

use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::list::Tab;

/// What a key does while the list has the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Help,
    Tab(Tab),
    NextTab,
    PreviousTab,
    Open,
    Back,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Filter,
    Sort,
    Reverse,
    Mark,
    MarkAll,
    Unmark,
    Enable,
    Disable,
    Weight,
    Check,
    Reset,
    Span,
    Pause,
    Refresh,
    Slower,
    Faster,
    Suspend,
}

impl Action {
    /// Whether it changes something in the service.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Enable | Self::Disable | Self::Weight | Self::Check | Self::Reset)
    }

    /// Whether it does something in this tab.
    pub fn applies(self, tab: Tab) -> bool {
        match self {
            Self::Weight | Self::Check | Self::Reset => tab == Tab::Keys,
            Self::Enable | Self::Disable | Self::Mark | Self::MarkAll | Self::Unmark => {
                matches!(tab, Tab::Keys | Tab::Pools)
            }
            Self::Open => tab == Tab::Pools,
            _ => true,
        }
    }
}

/// A key on the keyboard.
type Key = (KeyCode, KeyModifiers);

/// What some keys do.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What.
    pub action: Action,
    /// The keys.
    keys: &'static [Key],
    /// One word for the last line; empty for what is not hinted at there.
    pub hint: &'static str,
    /// A sentence for the help.
    pub help: &'static str,
}

const fn plain(character: char) -> Key {
    (KeyCode::Char(character), KeyModifiers::NONE)
}

const fn control(character: char) -> Key {
    (KeyCode::Char(character), KeyModifiers::CONTROL)
}

const fn code(code: KeyCode) -> Key {
    (code, KeyModifiers::NONE)
}

const fn bind(action: Action, keys: &'static [Key], hint: &'static str, help: &'static str) -> Binding {
    Binding { action, keys, hint, help }
}

/// All of them, in the order of the help.
pub const BINDINGS: &[Binding] = &[
    bind(Action::Help, &[plain('?'), code(KeyCode::F(1))], "help", "this help"),
    bind(Action::Quit, &[plain('q'), control('c')], "quit", "quit"),
    bind(Action::Open, &[code(KeyCode::Enter)], "open", "open the pool under the cursor"),
    bind(Action::Filter, &[plain('/')], "filter", "filter the rows"),
    bind(Action::Mark, &[plain(' ')], "mark", "mark the row, or not any more"),
    bind(Action::Enable, &[plain('e')], "enable", "enable what is marked, else the row under the cursor"),
    bind(Action::Disable, &[plain('d')], "disable", "disable it"),
    bind(Action::Weight, &[plain('w')], "weight", "set its weight"),
    bind(Action::Check, &[plain('c')], "check", "check it: one small request with each key"),
    bind(
        Action::Reset,
        &[plain('r')],
        "reset",
        "reset it: end its cooldowns and its state, as far as they were learnt",
    ),
    bind(Action::Sort, &[plain('s')], "sort", "sort by the next column"),
    bind(Action::Reverse, &[plain('S')], "", "turn the order round"),
    bind(Action::Pause, &[plain('p')], "pause", "keep the screen still, or go on"),
    bind(Action::Span, &[plain('t')], "span", "look at the last hour, day or month"),
    bind(Action::Back, &[code(KeyCode::Esc)], "", "clear the filter, the marks; back to all pools"),
    bind(Action::Tab(Tab::Pools), &[plain('1')], "", "pools"),
    bind(Action::Tab(Tab::Keys), &[plain('2')], "", "keys of the pool"),
    bind(Action::Tab(Tab::Models), &[plain('3')], "", "models of the pool"),
    bind(Action::Tab(Tab::Events), &[plain('4')], "", "what went wrong lately"),
    bind(Action::Tab(Tab::ClientKeys), &[plain('5')], "", "client keys of the pool"),
    bind(Action::NextTab, &[code(KeyCode::Tab)], "", "next tab"),
    bind(Action::PreviousTab, &[code(KeyCode::BackTab)], "", "previous tab"),
    bind(Action::Up, &[code(KeyCode::Up), plain('k')], "", "up"),
    bind(Action::Down, &[code(KeyCode::Down), plain('j')], "", "down"),
    bind(Action::PageUp, &[code(KeyCode::PageUp), control('u')], "", "a page up"),
    bind(Action::PageDown, &[code(KeyCode::PageDown), control('d')], "", "a page down"),
    bind(Action::First, &[code(KeyCode::Home), plain('g')], "", "first row"),
    bind(Action::Last, &[code(KeyCode::End), plain('G')], "", "last row"),
    bind(Action::MarkAll, &[plain('a')], "", "mark every row that the filter shows"),
    bind(Action::Unmark, &[plain('u')], "", "take all marks away"),
    bind(Action::Refresh, &[plain('R'), code(KeyCode::F(5))], "", "ask the service now"),
    bind(Action::Slower, &[plain('+')], "", "ask less often"),
    bind(Action::Faster, &[plain('-')], "", "ask more often"),
    bind(Action::Suspend, &[control('z')], "", "back to the shell; fg returns"),
];

impl Binding {
    /// The keys' names: `q ^C`.
    pub fn keys(&self) -> String {
        self.keys.iter().map(|key| name(*key)).collect::<Vec<_>>().join(" ")
    }

    /// The first key's name.
    pub fn key(&self) -> String {
        self.keys.first().map(|key| name(*key)).unwrap_or_default()
    }
}

fn name((code, modifiers): Key) -> String {
    match code {
        KeyCode::Char(' ') => "space".to_owned(),
        KeyCode::Char(character) if modifiers.contains(KeyModifiers::CONTROL) => {
            format!("^{}", character.to_ascii_uppercase())
        }
        KeyCode::Char(character) => character.to_string(),
        KeyCode::BackTab => "shift-tab".to_owned(),
        KeyCode::PageUp => "pgup".to_owned(),
        KeyCode::PageDown => "pgdn".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

/// What a key does.
pub fn action(event: KeyEvent) -> Option<Action> {
    // The character says whether shift was held; some terminals say it a second time.
    let pressed = (event.code, event.modifiers - KeyModifiers::SHIFT);
    BINDINGS.iter().find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

/// The keys for `poolctl top --help`.
pub fn help(title: &str) -> String {
    let mut text = format!("{title}\n");
    for binding in BINDINGS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<12} {}", binding.keys(), binding.help);
    }
    let _ = write!(text, "\nA filter is {}.", super::filter::HELP);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let mut seen = HashSet::new();
        for key in BINDINGS.iter().flat_map(|binding| binding.keys) {
            assert!(seen.insert(key), "{}", name(*key));
        }
    }

    #[test]
    fn keys_are_found_however_shift_is_told() {
        let pressed = |character, modifiers| action(KeyEvent::new(KeyCode::Char(character), modifiers));
        assert_eq!(pressed('G', KeyModifiers::SHIFT), Some(Action::Last));
        assert_eq!(pressed('G', KeyModifiers::NONE), Some(Action::Last));
        assert_eq!(pressed('c', KeyModifiers::CONTROL), Some(Action::Quit));
        assert_eq!(pressed('c', KeyModifiers::ALT), None);
    }
}

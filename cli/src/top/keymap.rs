//! Key bindings: the table that input, the help (`?`), the hints in the footer and `poolctl top
//! --help` share.

use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::list::Tab;

/// Action of a key while the list has the focus.
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
    /// Returns `true` if it changes data of the service.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Enable | Self::Disable | Self::Weight | Self::Check | Self::Reset)
    }

    /// Returns `true` if it is available in this tab.
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

/// A binding of keys to an action.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The action.
    pub action: Action,
    /// The keys.
    keys: &'static [Key],
    /// A word for the footer; empty if the footer does not show it.
    pub hint: &'static str,
    /// The text in the help.
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

/// All bindings, in the order of the help.
pub const BINDINGS: &[Binding] = &[
    bind(Action::Help, &[plain('?'), code(KeyCode::F(1))], "help", "this help"),
    bind(Action::Quit, &[plain('q'), control('c')], "quit", "quit"),
    bind(Action::Open, &[code(KeyCode::Enter)], "open", "open the selected pool"),
    bind(Action::Filter, &[plain('/')], "filter", "filter the rows"),
    bind(Action::Mark, &[plain(' ')], "mark", "mark or unmark the row"),
    bind(Action::Enable, &[plain('e')], "enable", "enable the marked rows, or the selected row"),
    bind(Action::Disable, &[plain('d')], "disable", "disable them"),
    bind(Action::Weight, &[plain('w')], "weight", "set their weight"),
    bind(Action::Check, &[plain('c')], "check", "check them with one minimal request per key"),
    bind(Action::Reset, &[plain('r')], "reset", "reset their cooldowns and observed health"),
    bind(Action::Sort, &[plain('s')], "sort", "sort by the next column"),
    bind(Action::Reverse, &[plain('S')], "", "reverse the sort order"),
    bind(Action::Pause, &[plain('p')], "pause", "pause or resume"),
    bind(Action::Span, &[plain('t')], "span", "cycle the time range: hour, day, month"),
    bind(
        Action::Back,
        &[code(KeyCode::Esc)],
        "",
        "clear the filter, then the marks, then return to all pools",
    ),
    bind(Action::Tab(Tab::Pools), &[plain('1')], "", "pools"),
    bind(Action::Tab(Tab::Keys), &[plain('2')], "", "keys of the pool"),
    bind(Action::Tab(Tab::Models), &[plain('3')], "", "models of the pool"),
    bind(Action::Tab(Tab::Events), &[plain('4')], "", "recent errors"),
    bind(Action::Tab(Tab::ClientKeys), &[plain('5')], "", "client keys of the pool"),
    bind(Action::NextTab, &[code(KeyCode::Tab)], "", "next tab"),
    bind(Action::PreviousTab, &[code(KeyCode::BackTab)], "", "previous tab"),
    bind(Action::Up, &[code(KeyCode::Up), plain('k')], "", "up"),
    bind(Action::Down, &[code(KeyCode::Down), plain('j')], "", "down"),
    bind(Action::PageUp, &[code(KeyCode::PageUp), control('u')], "", "a page up"),
    bind(Action::PageDown, &[code(KeyCode::PageDown), control('d')], "", "a page down"),
    bind(Action::First, &[code(KeyCode::Home), plain('g')], "", "first row"),
    bind(Action::Last, &[code(KeyCode::End), plain('G')], "", "last row"),
    bind(Action::MarkAll, &[plain('a')], "", "mark all filtered rows"),
    bind(Action::Unmark, &[plain('u')], "", "clear all marks"),
    bind(Action::Refresh, &[plain('R'), code(KeyCode::F(5))], "", "refresh now"),
    bind(Action::Slower, &[plain('+')], "", "refresh less often"),
    bind(Action::Faster, &[plain('-')], "", "refresh more often"),
    bind(Action::Suspend, &[control('z')], "", "suspend to the shell; fg resumes"),
];

impl Binding {
    /// Returns the keys' names: `q ^C`.
    pub fn keys(&self) -> String {
        self.keys.iter().map(|key| name(*key)).collect::<Vec<_>>().join(" ")
    }

    /// Returns the first key's name.
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

/// Returns the action of a key.
pub fn action(event: KeyEvent) -> Option<Action> {
    // The character implies shift; some terminals also report the modifier.
    let pressed = (event.code, event.modifiers - KeyModifiers::SHIFT);
    BINDINGS.iter().find(|binding| binding.keys.contains(&pressed)).map(|binding| binding.action)
}

/// Returns the key bindings for `poolctl top --help`.
pub fn help(title: &str) -> String {
    let mut text = format!("{title}\n");
    for binding in BINDINGS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<12} {}", binding.keys(), binding.help);
    }
    let _ = write!(text, "\nFilters: {}.", super::filter::HELP);
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

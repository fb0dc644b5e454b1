//! Function names: Gemini's rules are not OpenAI's.
//!
//! In: the names that the caller declares. Out: names that Gemini takes, and the way back.

use std::borrow::Cow;

const LONGEST: usize = 128;
/// What is left of a name that is too long, before its hash.
const KEPT: usize = LONGEST - 9;

/// The name as Gemini takes it: `^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`.
pub(super) fn gemini_name(name: &str) -> Cow<'_, str> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if starts_well && name.len() <= LONGEST && name.bytes().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if !starts_well {
        clean.push('_');
    }
    clean.extend(name.chars().map(|c| if u8::try_from(c).is_ok_and(is_allowed) { c } else { '_' }));
    if clean.len() > LONGEST {
        clean.truncate(KEPT);
        clean = format!("{clean}_{:08x}", fnv1a(name));
    }
    Cow::Owned(clean)
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-')
}

fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What was declared, for the way back.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    declared: Vec<Declared>,
}

#[derive(Debug, Clone)]
struct Declared {
    client: String,
    gemini: String,
    kind: Kind,
}

/// How the caller declared a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// With an object of arguments.
    #[default]
    Plain,
    /// With arguments that are no object and stand under `value` at Gemini.
    Wrapped,
    /// As a tool of free text, which stands under `input` at Gemini.
    Custom,
}

impl Names {
    /// Remembers a declaration and gives the name for Gemini; `None` if the caller has used the name before.
    pub(super) fn declare<'r>(&mut self, name: &'r str, kind: Kind) -> Option<Cow<'r, str>> {
        if self.is_declared(name) {
            return None;
        }
        let mut gemini = gemini_name(name);
        if self.declared.iter().any(|known| known.gemini == gemini) {
            let mut longer = gemini.into_owned();
            longer.truncate(KEPT);
            gemini = Cow::Owned(format!("{longer}_{:08x}", fnv1a(name)));
        }
        self.declared.push(Declared { client: name.to_owned(), gemini: gemini.clone().into_owned(), kind });
        Some(gemini)
    }

    /// Whether nothing is declared.
    pub(super) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Whether the caller has declared this name.
    pub(super) fn is_declared(&self, name: &str) -> bool {
        self.declared.iter().any(|known| known.client == name)
    }

    /// The name for Gemini, of a function that need not be declared any more.
    pub(super) fn to_gemini<'r>(&self, name: &'r str) -> Cow<'r, str> {
        match self.declared.iter().find(|known| known.client == name) {
            Some(known) if known.gemini != name => Cow::Owned(known.gemini.clone()),
            Some(_) => Cow::Borrowed(name),
            None => gemini_name(name),
        }
    }

    /// The caller's name for a function that Gemini calls, and how it was declared.
    ///
    /// Gemini sometimes puts its own namespace, `default_api`, before a name.
    pub(super) fn to_client<'r>(&'r self, name: &'r str) -> (&'r str, Kind) {
        let find = |name: &str| self.declared.iter().find(|known| known.gemini == name);
        let bare = ["default_api:", "default_api."].iter().find_map(|prefix| name.strip_prefix(prefix));
        let known = find(name).or_else(|| bare.and_then(find));
        known.map_or((name, Kind::Plain), |known| (&known.client, known.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_names_become_good_and_come_back() {
        let mut names = Names::default();
        let long = "x".repeat(200);
        for (client, gemini) in [
            ("get_weather", "get_weather"),
            ("1st", "_1st"),
            ("-dash", "_-dash"),
            ("sp ace", "sp_ace"),
            ("é", "__"),
        ] {
            assert_eq!(names.declare(client, Kind::Plain).as_deref(), Some(gemini));
            assert_eq!(names.to_client(gemini), (client, Kind::Plain));
        }
        let short = names.declare(&long, Kind::Custom).unwrap();
        assert_eq!(short.len(), LONGEST);
        assert_eq!(names.to_client(&short), (long.as_str(), Kind::Custom));
        // Two names that fall together stay apart.
        let second = names.declare("sp_ace", Kind::Wrapped).unwrap();
        assert_ne!(second, "sp_ace");
        assert_eq!(names.to_client(&second), ("sp_ace", Kind::Wrapped));
        assert_eq!(names.to_gemini("sp_ace"), second);
        assert_eq!(names.declare("1st", Kind::Plain), None);
    }

    #[test]
    fn geminis_namespace_is_taken_off_only_where_it_helps() {
        let mut names = Names::default();
        names.declare("f", Kind::Plain);
        assert_eq!(names.to_client("default_api:f").0, "f");
        assert_eq!(names.to_client("default_api.f").0, "f");
        assert_eq!(names.to_client("default_api:g").0, "default_api:g");
    }
}

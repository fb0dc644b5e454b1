//! Function names under Gemini's rules, and the way back to the client's names.

use std::borrow::Cow;

use crate::request::schema::Shape;

/// What Gemini takes for a name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`
    #[default]
    Today,
    /// `^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`, which some models still hold to.
    Older,
}

impl Rule {
    const fn longest(self) -> usize {
        match self {
            Self::Today => 128,
            Self::Older => 64,
        }
    }

    /// Returns what is left of a name that is too long, before its hash.
    const fn kept(self) -> usize {
        self.longest() - 9
    }

    fn allows(self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'_' | b'.' | b'-')
            || (byte == b':' && self == Self::Today)
    }
}

/// Returns the name as Gemini takes it.
fn gemini_name(name: &str, rule: Rule) -> Cow<'_, str> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_allowed = |byte| rule.allows(byte);
    if starts_well && name.len() <= rule.longest() && name.bytes().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len() + 1);
    if !starts_well {
        clean.push('_');
    }
    clean.extend(name.chars().map(|c| if u8::try_from(c).is_ok_and(is_allowed) { c } else { '_' }));
    if clean.len() > rule.longest() {
        clean.truncate(rule.kept());
        clean = format!("{clean}_{:08x}", fnv1a(name));
    }
    Cow::Owned(clean)
}

fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What was declared, for the way back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    declared: Vec<Declared>,
    rule: Rule,
}

#[derive(Debug, Clone)]
struct Declared {
    client: String,
    gemini: String,
    kind: Kind,
    /// How its arguments differ at Gemini.
    shape: Shape,
}

/// How the client declared a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With an object of arguments.
    #[default]
    Plain,
    /// With arguments that are no object and are under `value` at Gemini.
    Wrapped,
    /// As a tool of free text, which is under `input` at Gemini.
    Custom,
}

impl Names {
    pub(crate) fn by(rule: Rule) -> Self {
        Self { rule, declared: Vec::new() }
    }

    /// Remembers how the arguments of the declaration at a place differ at Gemini.
    pub(crate) fn set_shape(&mut self, place: usize, shape: Shape) {
        if let Some(declared) = self.declared.get_mut(place) {
            declared.shape = shape;
        }
    }

    /// Returns how the client declared a function, by the client's name, and how its arguments differ at Gemini.
    pub(crate) fn declaration(&self, name: &str) -> (Kind, &Shape) {
        let known = self.declared.iter().find(|known| known.client == name);
        known.map_or((Kind::Plain, &Shape::Same), |known| (known.kind, &known.shape))
    }

    /// Remembers a declaration and gives the name for Gemini; `None` if the client has used the name before.
    pub(crate) fn declare<'r>(&mut self, name: &'r str, kind: Kind) -> Option<Cow<'r, str>> {
        if self.is_declared(name) {
            return None;
        }
        let mut gemini = gemini_name(name, self.rule);
        if self.declared.iter().any(|known| known.gemini == gemini) {
            let mut longer = gemini.into_owned();
            longer.truncate(self.rule.kept());
            gemini = Cow::Owned(format!("{longer}_{:08x}", fnv1a(name)));
        }
        let (client, shape) = (name.to_owned(), Shape::Same);
        self.declared.push(Declared { client, gemini: gemini.clone().into_owned(), kind, shape });
        Some(gemini)
    }

    /// Returns `true` if nothing is declared.
    pub(crate) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Returns `true` if the client has declared this name.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        self.declared.iter().any(|known| known.client == name)
    }

    /// Returns the name for Gemini, of a function that need not be declared any more.
    pub(crate) fn to_gemini<'r>(&self, name: &'r str) -> Cow<'r, str> {
        match self.declared.iter().find(|known| known.client == name) {
            Some(known) if known.gemini != name => Cow::Owned(known.gemini.clone()),
            Some(_) => Cow::Borrowed(name),
            None => gemini_name(name, self.rule),
        }
    }

    /// Returns the client's name for a function that Gemini calls, and how it was declared.
    ///
    /// Gemini sometimes puts its own namespace, `default_api`, before a name.
    pub(crate) fn to_client<'r>(&'r self, name: &'r str) -> (&'r str, Kind) {
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
        assert_eq!(short.len(), 128);
        assert_eq!(names.to_client(&short), (long.as_str(), Kind::Custom));
        // Two names that fall together stay apart.
        let second = names.declare("sp_ace", Kind::Wrapped).unwrap();
        assert_ne!(second, "sp_ace");
        assert_eq!(names.to_client(&second), ("sp_ace", Kind::Wrapped));
        assert_eq!(names.to_gemini("sp_ace"), second);
        assert_eq!(names.declare("1st", Kind::Plain), None);
    }

    #[test]
    fn an_older_rule_shortens_long_names_and_no_others() {
        let mut names = Names::by(Rule::Older);
        let long = |end: char| format!("{}{end}", "x".repeat(64));
        assert_eq!(names.declare("short", Kind::Plain).as_deref(), Some("short"));
        assert_eq!(names.declare(&"y".repeat(64), Kind::Plain).unwrap().len(), 64);
        for (client, kind) in
            [(long('a'), Kind::Plain), (long('b'), Kind::Custom), ("a:b".to_owned(), Kind::Plain)]
        {
            let gemini = names.declare(&client, kind).unwrap().into_owned();
            assert!(gemini.len() <= 64 && !gemini.contains(':'), "{gemini}");
            assert_eq!(names.to_client(&gemini), (client.as_str(), kind));
            assert_eq!(names.to_gemini(&client), gemini);
        }
        assert_eq!(names.to_gemini(&long('c')).len(), 64);
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

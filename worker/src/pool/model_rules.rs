//! Which models a pool's callers may use.

/// A pool's list of allowed models. An empty list allows all; `*` stands for any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRules(Vec<String>);

impl ModelRules {
    /// Takes the list as configured.
    #[must_use]
    pub const fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// The entries that name one model each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|pattern| !pattern.contains('*'))
    }

    /// Whether a model may be used.
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches(pattern, model))
    }
}

/// Matches a pattern piece by piece: the first piece at the start, the last at the end, those between
/// at the first place where they fit. Linear in the product of the lengths, whatever the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        let Some(at) = text.find(piece) else { return false };
        text = text.get(at + piece.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> ModelRules {
        ModelRules::new(patterns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_list_allows_everything() {
        assert!(rules(&[]).allow("gemini-3.5-flash"));
    }

    #[test]
    fn names_are_exact_and_stars_stand_for_anything() {
        let rules = rules(&["gemini-2.5-pro", "gemini-*-flash", "*embedding*", "a*a"]);
        for model in ["gemini-2.5-pro", "gemini-3.5-flash", "gemini-embedding-001", "embedding", "aa"] {
            assert!(rules.allow(model), "{model}");
        }
        for model in ["gemini-2.5", "gemini-2.5-pro-x", "gemini-3.5-flash-lite", "x-gemini-1-flash", "a"] {
            assert!(!rules.allow(model), "{model}");
        }
    }
}

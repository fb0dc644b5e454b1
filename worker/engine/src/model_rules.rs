//! Which models a pool's clients may use.

use pool_shared::matches_model;

/// A pool's list of allowed models. An empty list allows all; `*` means any run of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelRules(Vec<String>);

impl ModelRules {
    /// Takes the list as configured.
    #[must_use]
    pub const fn new(patterns: Vec<String>) -> Self {
        Self(patterns)
    }

    /// Returns the entries that name one model each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|pattern| !pattern.contains('*'))
    }

    /// Returns `true` if a model may be used.
    #[must_use]
    pub fn allow(&self, model: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|pattern| matches_model(pattern, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(patterns: &[&str]) -> ModelRules {
        ModelRules::new(patterns.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn an_empty_list_allows_everything() {
        assert!(rules(&[]).allow("gemini-3.8-flash"));
    }

    #[test]
    fn names_are_exact_and_stars_stand_for_anything() {
        let rules = rules(&["gemini-2.5-pro", "gemini-*-flash", "*embedding*", "a*a"]);
        for model in ["gemini-2.5-pro", "gemini-3.8-flash", "gemini-embedding-001", "embedding", "aa"] {
            assert!(rules.allow(model), "{model}");
        }
        for model in ["gemini-2.5", "gemini-2.5-pro-x", "gemini-3.5-flash-lite", "x-gemini-1-flash", "a"] {
            assert!(!rules.allow(model), "{model}");
        }
    }
}

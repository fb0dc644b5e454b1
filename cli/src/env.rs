//! The environment as a value, so that precedence is tested without touching the process.
//!
//! In: the process's variables, once, at the start. Out: the ones this program knows.

use std::collections::HashMap;

/// Address of the service.
pub const URL: &str = "POOLCTL_URL";
/// Admin token, for CI.
pub const TOKEN: &str = "POOLCTL_TOKEN";
/// Profile to use.
pub const PROFILE: &str = "POOLCTL_PROFILE";
/// Folder of `config.toml` and `credentials.toml`.
pub const CONFIG_DIR: &str = "POOLCTL_CONFIG_DIR";
/// Where tokens are kept: `keyring` or `file`.
pub const CREDENTIALS: &str = "POOLCTL_CREDENTIALS";

const KNOWN: [&str; 8] = [URL, TOKEN, PROFILE, CONFIG_DIR, CREDENTIALS, "NO_COLOR", "CLICOLOR_FORCE", "TERM"];

/// The variables that this program looks at. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Env(HashMap<&'static str, String>);

impl Env {
    /// Reads the process's environment.
    pub fn from_process() -> Self {
        Self(KNOWN.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?))).collect())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&'static str, &str); N]> for Env {
    fn from(variables: [(&'static str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name, value.to_owned())).into())
    }
}

//! The environment as a value, so that precedence is tested without touching the process.
//!
//! In: the process's variables, once, at the start. Out: the ones this program knows.

use std::collections::HashMap;

use pool_shared::Secret;

/// Address of the service.
pub const URL: &str = "POOLCTL_URL";
/// Admin token, for CI.
pub const TOKEN: &str = "POOLCTL_TOKEN";
/// Profile to use.
pub const PROFILE: &str = "POOLCTL_PROFILE";
/// Output format.
pub const OUTPUT: &str = "POOLCTL_OUTPUT";
/// How long to wait for an answer.
pub const TIMEOUT: &str = "POOLCTL_TIMEOUT";
/// Folder of `config.toml` and `credentials.toml`.
pub const CONFIG_DIR: &str = "POOLCTL_CONFIG_DIR";
/// Where tokens are kept: `keyring` or `file`.
pub const CREDENTIALS: &str = "POOLCTL_CREDENTIALS";
/// A client key for `poolctl try`.
pub const CLIENT_KEY: &str = "POOLCTL_CLIENT_KEY";
/// Never ask.
pub const NO_PROMPT: &str = "POOLCTL_NO_PROMPT";

/// Every variable that this program looks at, and what it is for. `poolctl help environment` is made of it.
pub const KNOWN: [(&str, &str); 14] = [
    (URL, "address of the service"),
    (TOKEN, "admin token, for CI; wins over any login"),
    (PROFILE, "profile to use"),
    (OUTPUT, "how results are written, as -o"),
    (TIMEOUT, "seconds to wait for a response, as --timeout"),
    (CLIENT_KEY, "client key (sk-pool-...) that poolctl try presents"),
    (CONFIG_DIR, "folder of config.toml and credentials.toml"),
    (CREDENTIALS, "where tokens are kept: keyring or file"),
    (NO_PROMPT, "never ask, as if there were no terminal"),
    (
        "HTTPS_PROXY",
        "proxy to a service on another machine; so are HTTP_PROXY and ALL_PROXY, but for NO_PROXY",
    ),
    ("SSL_CERT_FILE", "certificates (PEM) to trust instead of the system's"),
    ("NO_COLOR", "no colour (https://no-color.org)"),
    ("CLICOLOR_FORCE", "colour also in a pipe, unless 0"),
    ("TERM", "dumb: no colour"),
];

/// The variables that this program looks at. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Env(HashMap<&'static str, String>);

impl Env {
    /// Reads the process's environment.
    pub fn from_process() -> Self {
        Self(KNOWN.into_iter().filter_map(|(name, _)| Some((name, std::env::var(name).ok()?))).collect())
    }

    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A secret from a variable that a file names, such as `pools.toml`.
pub fn secret(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty()).map(Secret::new)
}

#[cfg(test)]
impl<const N: usize> From<[(&'static str, &str); N]> for Env {
    fn from(variables: [(&'static str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name, value.to_owned())).into())
    }
}

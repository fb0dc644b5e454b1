//! Environment variables as a value, so that tests need not change the process. They are read once,
//! at the start.

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
/// Timeout of a response.
pub const TIMEOUT: &str = "POOLCTL_TIMEOUT";
/// Folder of `config.toml` and `credentials.toml`.
pub const CONFIG_DIR: &str = "POOLCTL_CONFIG_DIR";
/// Credential store: `keyring` or `file`.
pub const CREDENTIALS: &str = "POOLCTL_CREDENTIALS";
/// Client key for `poolctl test`.
pub const CLIENT_KEY: &str = "POOLCTL_CLIENT_KEY";
/// Never prompt.
pub const NO_PROMPT: &str = "POOLCTL_NO_PROMPT";

/// Every known variable and its meaning, for `poolctl help environment`.
pub const KNOWN: [(&str, &str); 14] = [
    (URL, "address of the service"),
    (TOKEN, "admin token, for CI; overrides any login"),
    (PROFILE, "profile to use"),
    (OUTPUT, "output format, as -o"),
    (TIMEOUT, "seconds to wait for a response, as --timeout"),
    (CLIENT_KEY, "client key (sk-pool-...) for poolctl test"),
    (CONFIG_DIR, "folder of config.toml and credentials.toml"),
    (CREDENTIALS, "credential store: keyring or file"),
    (NO_PROMPT, "never prompt"),
    ("HTTPS_PROXY", "proxy to a remote service; also HTTP_PROXY, ALL_PROXY and NO_PROXY"),
    ("SSL_CERT_FILE", "trusted certificates (PEM) instead of the system's"),
    ("NO_COLOR", "disable colour (https://no-color.org)"),
    ("CLICOLOR_FORCE", "force colour, also in a pipe, unless 0"),
    ("TERM", "dumb disables colour"),
];

/// Values of the known variables. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Env(HashMap<&'static str, String>);

impl Env {
    /// Reads the environment of the process.
    pub fn from_process() -> Self {
        Self(KNOWN.into_iter().filter_map(|(name, _)| Some((name, std::env::var(name).ok()?))).collect())
    }

    /// Returns a variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Returns a secret from a variable that a file such as `pools.toml` names.
pub fn secret(name: &str) -> Option<Secret> {
    std::env::var(name).ok().filter(|text| !text.trim().is_empty()).map(Secret::new)
}

#[cfg(test)]
impl<const N: usize> From<[(&'static str, &str); N]> for Env {
    fn from(variables: [(&'static str, &str); N]) -> Self {
        Self(variables.map(|(name, value)| (name, value.to_owned())).into())
    }
}

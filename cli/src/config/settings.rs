//! Settings from flags, environment, profile and defaults, in this order, each with its source.

use std::{fmt, time::Duration};

use clap::ValueEnum;
use pool_shared::{Secret, TokenKind};
use serde::{Serialize, Serializer};

use super::{
    ConfigFile, Profile, ProfileName, ServiceUrl,
    credentials::{CredentialId, StoreKind},
};
use crate::{
    env::{self, Env},
    error::{CliError, Code},
    output::Format,
};

pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A profile in `config.toml`.
    Profile(ProfileName),
    /// `default_profile` of `config.toml`.
    ConfigFile,
    /// The default.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::ConfigFile => f.write_str("default_profile in config.toml"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// The source.
    pub source: Source,
}

fn setting<T>(value: T, source: Source) -> Setting<T> {
    Setting { value, source }
}

/// The values of global flags.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--profile`
    pub profile: Option<ProfileName>,
    /// `--url`
    pub url: Option<ServiceUrl>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--insecure`
    pub insecure: bool,
    /// `--output`
    pub output: Option<Format>,
}

/// The resolved settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The profile's name; the profile may not exist.
    pub profile: Setting<ProfileName>,
    /// The profile, if `config.toml` has it.
    pub entry: Option<Profile>,
    /// The service's address.
    pub url: Option<Setting<ServiceUrl>>,
    /// Timeout of a response.
    pub timeout: Setting<Duration>,
    /// Output format.
    pub output: Setting<Format>,
    /// `POOLCTL_TOKEN`.
    pub env_token: Option<Secret>,
    /// `POOLCTL_CLIENT_KEY`.
    pub client_key: Option<Secret>,
    /// `POOLCTL_CREDENTIALS`.
    pub only_store: Option<StoreKind>,
    /// Whether unencrypted http to a remote host is allowed.
    pub insecure: bool,
}

/// Which token to use for the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlan {
    /// `POOLCTL_TOKEN`.
    Environment(Secret),
    /// The profile's token, from this store.
    Stored(StoreKind, CredentialId),
    /// The profile's token was issued for this other URL.
    Withheld(ServiceUrl),
    /// No token.
    Missing,
}

impl Settings {
    /// Resolves every setting.
    pub fn resolve(flags: &Overrides, env: &Env, config: &ConfigFile) -> Result<Self, CliError> {
        let profile = profile_name(flags, env, config)?;
        let entry = config.profiles.get(&profile.value).cloned();
        let url = match (&flags.url, env.get(env::URL), &entry) {
            (Some(url), _, _) => Some(setting(url.clone(), Source::Flag("--url"))),
            (None, Some(text), _) => {
                let url = ServiceUrl::parse(text).map_err(|error| bad_variable(env::URL, &error))?;
                Some(setting(url, Source::Environment(env::URL)))
            }
            (None, None, Some(entry)) => {
                Some(setting(entry.url.clone(), Source::Profile(profile.value.clone())))
            }
            (None, None, None) => None,
        };
        let timeout = match (flags.timeout, env.get(env::TIMEOUT)) {
            (Some(timeout), _) => setting(timeout, Source::Flag("--timeout")),
            (None, Some(text)) => {
                let timeout = seconds(text).map_err(|error| bad_variable(env::TIMEOUT, &error))?;
                setting(timeout, Source::Environment(env::TIMEOUT))
            }
            (None, None) => setting(DEFAULT_TIMEOUT, Source::Default),
        };
        let output = match (flags.output, env.get(env::OUTPUT)) {
            (Some(format), _) => setting(format, Source::Flag("--output")),
            (None, Some(text)) => {
                let format = Format::from_str(text, false)
                    .map_err(|_| bad_variable(env::OUTPUT, &"expected a format of poolctl help formats"))?;
                setting(format, Source::Environment(env::OUTPUT))
            }
            (None, None) => setting(Format::default(), Source::Default),
        };
        // A profile's permission applies only to its own service.
        let allowed = entry.as_ref().filter(|entry| entry.insecure).map(|entry| &entry.url);
        let insecure = flags.insecure || url.as_ref().is_some_and(|url| Some(&url.value) == allowed);
        let only_store = match env.get(env::CREDENTIALS) {
            None => None,
            Some("keyring") => Some(StoreKind::Keyring),
            Some("file") => Some(StoreKind::File),
            Some(_) => return Err(bad_variable(env::CREDENTIALS, &"expected keyring or file")),
        };
        let env_token = env.get(env::TOKEN).map(|text| Secret::new(text.trim()));
        let client_key = env.get(env::CLIENT_KEY).map(|text| Secret::new(text.trim()));
        Ok(Self { profile, entry, url, timeout, output, env_token, client_key, only_store, insecure })
    }

    /// Returns the service's address if secrets may be sent there.
    pub fn service(&self) -> Result<&Setting<ServiceUrl>, CliError> {
        let Some(url) = &self.url else {
            return Err(CliError::new(Code::NotLoggedIn, "no pool service configured")
                .hint("poolctl login --url https://YOUR-SERVICE (or set POOLCTL_URL and POOLCTL_TOKEN)"));
        };
        if url.value.is_private() || self.insecure {
            return Ok(url);
        }
        Err(CliError::usage(format!("{} is an unencrypted connection to a remote host", url.value))
            .cause("the password, the token and keys could be intercepted")
            .hint("use https://, or --insecure on a trusted network"))
    }

    /// Returns which token to use for this address.
    pub fn token_plan(&self, url: &ServiceUrl) -> Result<TokenPlan, CliError> {
        if let Some(token) = &self.env_token {
            TokenKind::AdminToken.verify(token.expose()).map_err(|error| {
                CliError::new(Code::NotLoggedIn, format!("{} has no valid token", env::TOKEN))
                    .cause(error.to_string())
                    .hint(format!("unset {} and run poolctl login --url {url}", env::TOKEN))
            })?;
            return Ok(TokenPlan::Environment(token.clone()));
        }
        Ok(match &self.entry {
            Some(Profile { url: own, token_store: Some(store), .. }) if own == url => {
                let id = CredentialId { profile: self.profile.value.clone(), url: url.clone() };
                TokenPlan::Stored(*store, id)
            }
            Some(Profile { url: own, token_store: Some(_), .. }) => TokenPlan::Withheld(own.clone()),
            _ => TokenPlan::Missing,
        })
    }

    /// Returns the command that logs in to this service with the current profile.
    pub fn login_command(&self, url: &ServiceUrl) -> String {
        let mut command = format!("poolctl login --url {url}");
        if self.profile.source != Source::Default && self.profile.source != Source::ConfigFile {
            command = format!("{command} --profile {}", self.profile.value);
        }
        if self.insecure && !url.is_private() {
            command.push_str(" --insecure");
        }
        command
    }
}

/// Parses a timeout in seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number of seconds from 0.1 to 3600".to_owned();
    let seconds: f64 = text.trim_end_matches('s').parse().map_err(|_| wrong())?;
    if (0.1..=3600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

fn profile_name(flags: &Overrides, env: &Env, config: &ConfigFile) -> Result<Setting<ProfileName>, CliError> {
    Ok(match (&flags.profile, env.get(env::PROFILE), &config.default_profile) {
        (Some(name), _, _) => setting(name.clone(), Source::Flag("--profile")),
        (None, Some(text), _) => {
            let name = text.parse().map_err(|error| bad_variable(env::PROFILE, &error))?;
            setting(name, Source::Environment(env::PROFILE))
        }
        (None, None, Some(name)) => setting(name.clone(), Source::ConfigFile),
        (None, None, None) => setting(ProfileName::default(), Source::Default),
    })
}

fn bad_variable(name: &str, why: &dyn fmt::Display) -> CliError {
    CliError::usage(format!("invalid value of {name}")).cause(why.to_string())
}

#[cfg(test)]
mod tests;

//! The settings of a deployment, parsed and checked once at start.

use pool_shared::Secret;

use crate::crypto::MasterKey;
use crate::ledger::{InFlightCounter, Shards};
use crate::reporting::Log;
use crate::setup::{MIN_PASSWORD_LENGTH, SetupError};
use crate::upstream::UpstreamTimeouts;

/// The settings of a deployment, checked.
#[derive(Debug)]
pub struct Settings {
    pub(crate) master_key: MasterKey,
    pub(crate) previous_master_key: Option<MasterKey>,
    pub(crate) admin_password: Secret,
    pub(crate) ledger_shards: Shards,
    pub(crate) in_flight: InFlightCounter,
    pub(crate) log: Log,
    pub(crate) timeouts: UpstreamTimeouts,
}

impl Settings {
    /// Checks the two secrets of a deployment.
    pub fn new(master_key: Option<&str>, admin_password: Option<&str>) -> Result<Self, SetupError> {
        let master_key = master_key.ok_or(SetupError::MissingSecret("MASTER_KEY"))?;
        let admin_password = admin_password.ok_or(SetupError::MissingSecret("ADMIN_PASSWORD"))?;
        // A file or a shell may have appended a line break.
        let admin_password = admin_password.trim();
        if admin_password.chars().count() < MIN_PASSWORD_LENGTH {
            return Err(SetupError::WeakPassword);
        }
        let first = admin_password.chars().next();
        if admin_password.chars().all(|other| Some(other) == first) {
            return Err(SetupError::RepeatedPassword);
        }
        Ok(Self {
            master_key: parse_master_key("MASTER_KEY", master_key)?,
            previous_master_key: None,
            admin_password: Secret::new(admin_password),
            ledger_shards: Shards::ONE,
            in_flight: InFlightCounter::default(),
            log: Log::off(),
            timeouts: UpstreamTimeouts::default(),
        })
    }

    /// Sets the previous master key, during a rotation.
    pub fn with_previous_master_key(self, key: Option<&str>) -> Result<Self, SetupError> {
        let key = key.filter(|key| !key.trim().is_empty());
        let previous_master_key = key.map(|key| parse_master_key("MASTER_KEY_PREV", key)).transpose()?;
        Ok(Self { previous_master_key, ..self })
    }

    /// Sets the number of ledger shards; `None` for one.
    pub fn with_ledger_shards(self, shards: Option<&str>) -> Result<Self, SetupError> {
        let Some(text) = shards else { return Ok(self) };
        let problem = || format!("LEDGER_SHARDS is not a number from 1 to {}", Shards::MAX);
        let ledger_shards = Shards::parse(text).ok_or_else(|| SetupError::Setting(problem()))?;
        Ok(Self { ledger_shards, ..self })
    }

    /// Sets the counter of what the ledger has not acknowledged.
    #[must_use]
    pub fn with_in_flight(self, in_flight: InFlightCounter) -> Self {
        Self { in_flight, ..self }
    }

    /// Sets the request log.
    #[must_use]
    pub fn with_log(self, log: Log) -> Self {
        Self { log, ..self }
    }

    /// Sets the timeouts of upstream requests.
    #[must_use]
    pub fn with_upstream_timeouts(self, timeouts: UpstreamTimeouts) -> Self {
        Self { timeouts, ..self }
    }
}

fn parse_master_key(name: &'static str, text: &str) -> Result<MasterKey, SetupError> {
    MasterKey::parse(text).map_err(|error| SetupError::MasterKey(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_deployment_lacks_is_named() {
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let password = "correct horse battery";
        for (master_key, admin_password, expected) in [
            (None, Some(password), "the secret MASTER_KEY is not set"),
            (Some(key), None, "the secret ADMIN_PASSWORD is not set"),
            (Some(key), Some("short"), "ADMIN_PASSWORD has fewer than 15 characters"),
            (Some(key), Some("aaaaaaaaaaaaaaaaaaaa"), "ADMIN_PASSWORD is one character, repeated"),
            (Some(key), Some("éééééééééééééééééééé"), "ADMIN_PASSWORD is one character, repeated"),
            (
                Some("short"),
                Some(password),
                "MASTER_KEY is not base64: generate one with `openssl rand -base64 32`",
            ),
        ] {
            assert_eq!(Settings::new(master_key, admin_password).unwrap_err().to_string(), expected);
        }
        let settings = || Settings::new(Some(key), Some(password)).unwrap();
        assert!(settings().with_previous_master_key(Some("")).unwrap().previous_master_key.is_none());
        let error = settings().with_previous_master_key(Some("c2hvcnQ=")).unwrap_err().to_string();
        assert!(error.starts_with("MASTER_KEY_PREV has 5 bytes"), "{error}");
    }
}

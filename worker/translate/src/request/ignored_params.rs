//! Parameters of a request that have no effect at Gemini.

use crate::error::ApiError;

/// Names of parameters without effect.
#[derive(Debug, Default)]
pub(crate) struct IgnoredParams {
    names: Vec<String>,
    /// Also set by names that are not safe in a header.
    any: bool,
}

impl IgnoredParams {
    /// Keeps the header readable.
    const MAX_NAMES: usize = 32;
    const MAX_NAME_BYTES: usize = 64;

    /// Adds a name once, and only if it is safe in a header: some names come from the client.
    pub(crate) fn add(&mut self, name: &str) {
        self.any = true;
        let safe = !name.is_empty()
            && name.len() <= Self::MAX_NAME_BYTES
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if safe && self.names.len() < Self::MAX_NAMES && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// Adds a parameter whose value the pool's settings have changed. [`Self::reject`] accepts it.
    pub(crate) fn add_changed(&mut self, name: &str) {
        let any = self.any;
        self.add(name);
        self.any = any;
    }

    pub(crate) fn add_if(&mut self, condition: bool, name: &str) {
        if condition {
            self.add(name);
        }
    }

    pub(crate) fn into_names(self) -> Vec<String> {
        self.names
    }

    /// Returns an error if a parameter was ignored, for pools with `strict_params`.
    pub(crate) fn reject(&self, model: &str) -> Result<(), ApiError> {
        if !self.any {
            return Ok(());
        }
        let name = self.names.first().map_or("", String::as_str);
        let message = format!("Unsupported parameter: '{name}' has no effect with the model '{model}'.");
        let error = ApiError::unsupported_parameter(name, message);
        Err(ApiError { param: error.param.filter(|name| !name.is_empty()), ..error })
    }
}

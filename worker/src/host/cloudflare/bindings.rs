//! Bindings and variables of a deployment that several adapters read.

use worker::{Env, ObjectNamespace};

use crate::origin::{self, GEMINI};
use crate::setup::SetupError;

/// Returns the binding of a Durable Object class. `description` names both, for the operator.
pub(super) fn namespace(
    env: &Env,
    binding: &str,
    description: &'static str,
) -> Result<ObjectNamespace, SetupError> {
    env.durable_object(binding).map_err(|_| SetupError::MissingBinding(description))
}

/// Returns Gemini's base URL: the variable `GEMINI_BASE_URL`, or Google's.
pub(super) fn base_url(env: &Env) -> Result<String, SetupError> {
    let variable = |name| env.var(name).ok().map(|value| value.to_string());
    let base = variable("GEMINI_BASE_URL").unwrap_or_else(|| GEMINI.to_owned());
    let url = origin::base_url(&base, variable("GEMINI_ALLOWED_HOSTS").as_deref());
    let url = url.map_err(|error| SetupError::Setting(error.to_string()))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

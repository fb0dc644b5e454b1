//! Scalar parameters of a chat request as `generationConfig`.
//!
//! Only parameters that the model accepts are sent. Others are listed as ignored, or rejected if ignoring
//! them would mislead the client.

use crate::chat::request::thinking;
use crate::error::ApiError;
use crate::gemini::GenerationConfig;
use crate::json::{Decimal, Integer, OneOrMany};
use crate::openai::ChatRequest;
use crate::request::capabilities::Capabilities;
use crate::request::ignored_params::IgnoredParams;
use crate::request::options::TranslateOptions;

const MAX_STOPS: usize = 5;
/// OpenAI's and Gemini's common limit of responses to one request.
pub(crate) const MAX_CHOICES: i128 = 8;

/// Everything of `generationConfig` that does not depend on messages, tools or formats.
pub(crate) fn generation_config<'r>(
    request: &'r ChatRequest<'_>,
    capabilities: &Capabilities,
    options: &TranslateOptions<'_>,
    ignored: &mut IgnoredParams,
) -> Result<GenerationConfig<'r>, ApiError> {
    let mut config = GenerationConfig {
        max_output_tokens: max_output_tokens(request, capabilities, options, ignored)?,
        stop_sequences: stop_sequences(request)?,
        seed: request.seed.map(fold_seed),
        thinking_config: thinking::thinking_config(request, capabilities.thinking, options, ignored)?,
        ..GenerationConfig::default()
    };
    sampling(request, capabilities, &mut config, ignored)?;
    penalties(request, capabilities, &mut config, ignored)?;
    logprobs(request, capabilities, &mut config)?;
    without_counterpart(request, options, ignored);
    Ok(config)
}

fn max_output_tokens(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    options: &TranslateOptions<'_>,
    ignored: &mut IgnoredParams,
) -> Result<Option<u64>, ApiError> {
    let (name, wanted) = match (request.max_completion_tokens, request.max_tokens) {
        (Some(newer), _) => ("max_completion_tokens", newer),
        (None, Some(older)) => ("max_tokens", older),
        (None, None) => return Ok(None),
    };
    at_least(name, wanted, 1)?;
    // The wire type is a signed 32-bit number.
    let wanted = u64::try_from(wanted.0).unwrap_or(u64::MAX).min(i32::MAX.unsigned_abs().into());
    let least = options.settings.and_then(|settings| settings.min_output_tokens);
    let least = least.map_or(0, |least| u64::from(least.get()).min(i32::MAX.unsigned_abs().into()));
    if wanted < least {
        ignored.add_changed(name);
    }
    let wanted = wanted.max(least);
    let limit = options.output_token_limit.filter(|_| capabilities.call_limit.is_none());
    Ok(Some(limit.map_or(wanted, |limit| wanted.min(limit.max(1)))))
}

/// Returns `true` if more is wanted than one call of the model can return, so that several have to follow each other.
pub(crate) fn exceeds_one_call(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    max_output_tokens: Option<u64>,
) -> bool {
    let Some(limit) = capabilities.call_limit else { return false };
    let longest = if request.stream() { limit.streamed } else { limit.whole };
    max_output_tokens.is_some_and(|wanted| wanted > longest)
}

fn stop_sequences<'r>(request: &'r ChatRequest<'_>) -> Result<Vec<&'r str>, ApiError> {
    let stops: Vec<&str> = match &request.stop {
        None => Vec::new(),
        Some(OneOrMany::One(stop)) => vec![stop],
        Some(OneOrMany::Many(stops)) => stops.iter().map(|stop| &**stop).collect(),
    };
    let stops: Vec<&str> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
    if stops.len() > MAX_STOPS {
        let message = format!(
            "Invalid 'stop': array too long. Expected an array with maximum length {MAX_STOPS}, but got an array with \
             length {} instead.",
            stops.len()
        );
        return Err(ApiError::invalid(Some("stop"), "array_above_max_length", message));
    }
    Ok(stops)
}

/// Gemini's seeds have 32 bits and a sign; bigger ones are folded so that they stay repeatable.
fn fold_seed(seed: Integer) -> i32 {
    i32::try_from(seed.0).or_else(|_| i32::try_from(seed.0.rem_euclid(1 << 31))).unwrap_or_default()
}

fn sampling(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    config: &mut GenerationConfig<'_>,
    ignored: &mut IgnoredParams,
) -> Result<(), ApiError> {
    let temperature = ranged("temperature", request.temperature, 0.0, 2.0)?;
    let top_p = ranged("top_p", request.top_p, 0.0, 1.0)?;
    let top_k = request.top_k.or_else(|| request.google().find_map(|google| google.top_k));
    if let Some(top_k) = top_k {
        at_least("top_k", top_k, 1)?;
    }
    if capabilities.sampling {
        config.temperature = temperature;
        config.top_p = top_p;
        config.top_k = top_k.map(|top_k| u32::try_from(top_k.0).unwrap_or(i32::MAX.unsigned_abs()));
    } else {
        ignored.add_if(temperature.is_some_and(|value| differs(value, 1.0)), "temperature");
        ignored.add_if(top_p.is_some_and(|value| differs(value, 1.0)), "top_p");
        ignored.add_if(top_k.is_some(), "top_k");
    }
    Ok(())
}

fn penalties(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    config: &mut GenerationConfig<'_>,
    ignored: &mut IgnoredParams,
) -> Result<(), ApiError> {
    let frequency = ranged("frequency_penalty", request.frequency_penalty, -2.0, 2.0)?;
    let presence = ranged("presence_penalty", request.presence_penalty, -2.0, 2.0)?;
    if capabilities.penalties {
        // Google's range excludes its upper end.
        config.frequency_penalty = frequency.map(|value| value.min(1.999));
        config.presence_penalty = presence.map(|value| value.min(1.999));
    } else {
        ignored.add_if(frequency.is_some_and(|value| differs(value, 0.0)), "frequency_penalty");
        ignored.add_if(presence.is_some_and(|value| differs(value, 0.0)), "presence_penalty");
    }
    Ok(())
}

fn logprobs(
    request: &ChatRequest<'_>,
    capabilities: &Capabilities,
    config: &mut GenerationConfig<'_>,
) -> Result<(), ApiError> {
    let wanted = request.logprobs.unwrap_or_default();
    if let Some(top) = request.top_logprobs {
        at_least("top_logprobs", top, 0)?;
        at_most("top_logprobs", top, 20)?;
        if !wanted {
            let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
            return Err(ApiError::invalid_value("top_logprobs", message));
        }
    }
    if wanted && !capabilities.logprobs {
        let message = format!("The model '{}' does not return log probabilities.", request.model());
        return Err(ApiError::unsupported_parameter("logprobs", message));
    }
    if wanted {
        config.response_logprobs = Some(true);
        let top = request.top_logprobs.and_then(|top| u32::try_from(top.0).ok());
        config.logprobs = top.filter(|top| *top > 0);
    }
    Ok(())
}

/// `verbosity` in words, in pools that enable it.
pub(crate) fn verbosity_hint(request: &ChatRequest<'_>, options: &TranslateOptions<'_>) -> Option<String> {
    let hint = match request.verbosity.as_deref()? {
        "low" => "Keep the answer short.",
        "high" => "Answer in detail.",
        _ => return None,
    };
    options.wishes(|pool| pool.verbosity_hint).then(|| hint.to_owned())
}

fn without_counterpart(
    request: &ChatRequest<'_>,
    options: &TranslateOptions<'_>,
    ignored: &mut IgnoredParams,
) {
    let biased = request.logit_bias.is_some_and(|bias| bias.get().bytes().any(|byte| byte == b':'));
    ignored.add_if(biased, "logit_bias");
    let verbosity = request.verbosity.as_deref().is_some_and(|verbosity| verbosity != "medium");
    ignored.add_if(verbosity && verbosity_hint(request, options).is_none(), "verbosity");
    for name in &request.unknown {
        ignored.add(name);
    }
}

/// `serviceTier`, if the request asks for one.
pub(crate) fn service_tier(request: &ChatRequest<'_>) -> Result<Option<&'static str>, ApiError> {
    match request.service_tier.as_deref() {
        None | Some("auto" | "scale") => Ok(None),
        Some("default") => Ok(Some("standard")),
        Some("flex") => Ok(Some("flex")),
        Some("priority" | "fast") => Ok(Some("priority")),
        Some(_) => Err(ApiError::invalid_value(
            "service_tier",
            "Invalid value for 'service_tier'. Supported values are: 'auto', 'default', 'flex' and 'priority'.",
        )),
    }
}

/// Returns how many responses are wanted.
pub(crate) fn choices(request: &ChatRequest<'_>) -> Result<u32, ApiError> {
    let Some(n) = request.n else { return Ok(1) };
    at_least("n", n, 1)?;
    at_most("n", n, MAX_CHOICES)?;
    Ok(u32::try_from(n.0).unwrap_or(1))
}

fn differs(value: f64, default: f64) -> bool {
    (value - default).abs() > f64::EPSILON
}

fn ranged(name: &str, value: Option<Decimal>, min: f64, max: f64) -> Result<Option<f64>, ApiError> {
    let Some(Decimal(value)) = value else { return Ok(None) };
    if value < min {
        let message = format!(
            "Invalid '{name}': decimal below minimum value. Expected a value >= {min}, but got {value} instead."
        );
        return Err(ApiError::invalid(Some(name), "decimal_below_min_value", message));
    }
    if value > max {
        let message = format!(
            "Invalid '{name}': decimal above maximum value. Expected a value <= {max}, but got {value} instead."
        );
        return Err(ApiError::invalid(Some(name), "decimal_above_max_value", message));
    }
    Ok(Some(value))
}

pub(crate) fn at_least(name: &str, value: Integer, min: i128) -> Result<(), ApiError> {
    if value.0 >= min {
        return Ok(());
    }
    let message = format!(
        "Invalid '{name}': integer below minimum value. Expected a value >= {min}, but got {} instead.",
        value.0
    );
    Err(ApiError::invalid(Some(name), "integer_below_min_value", message))
}

pub(crate) fn at_most(name: &str, value: Integer, max: i128) -> Result<(), ApiError> {
    if value.0 <= max {
        return Ok(());
    }
    let message = format!(
        "Invalid '{name}': integer above maximum value. Expected a value <= {max}, but got {} instead.",
        value.0
    );
    Err(ApiError::invalid(Some(name), "integer_above_max_value", message))
}

#[cfg(test)]
mod tests;

//! Gemini's error bodies, verbatim as published by users.
//!
//! Statuses and their meaning: <https://ai.google.dev/gemini-api/docs/troubleshooting>. Shapes of
//! `details`: `google/rpc/error_details.proto` in <https://github.com/googleapis/googleapis>.

use serde_json::{Value, json};

use crate::behaviour::Behaviour;
use crate::quota::{QuotaKind, Violation};
use crate::scenario::Tier;

mod exhausted;

pub(crate) use exhausted::quota;

const SERVICE: &str = "generativelanguage.googleapis.com";
const JSON: &str = "application/json; charset=UTF-8";
const HTML: &str = "text/html; charset=UTF-8";
/// Quota of a key whose behaviour is exhaustion.
const USUAL_REQUESTS_PER_MINUTE: u64 = 10;
const USUAL_REQUESTS_PER_DAY: u64 = 250;
const USUAL_INPUT_TOKENS_PER_MINUTE: u64 = 250_000;

/// An error response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub status: u16,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// `{"error": …}`.
    Error(Value),
    /// An HTML page of Google's front end.
    Page(String),
}

/// Facts of a request that error bodies repeat.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub key: &'a str,
    pub project: &'a str,
    pub model: &'a str,
    /// The part of the path after the colon.
    pub method: &'a str,
    pub tier: Tier,
    pub now_ms: i64,
}

impl Refusal {
    pub(crate) fn error(status: u16, code: &str, message: &str, details: &[Value]) -> Self {
        let mut error = json!({"code": status, "message": message, "status": code});
        if let (Some(error), false) = (error.as_object_mut(), details.is_empty()) {
            error.insert("details".to_owned(), Value::from(details));
        }
        Self { status, content: Content::Error(json!({ "error": error })) }
    }

    /// 400 `INVALID_ARGUMENT`.
    pub(crate) fn invalid_argument(message: &str) -> Self {
        Self::error(400, "INVALID_ARGUMENT", message, &[])
    }

    fn page(status: u16, title: &str, text: &str) -> Self {
        Self {
            status,
            content: Content::Page(format!(
                "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n  <title>Error {status} ({title})!!1</title>\n  \
                 <a href=//www.google.com/><span id=logo aria-label=Google></span></a>\n  \
                 <p><b>{status}.</b> <ins>That’s an error.</ins>\n  <p>{text}  <ins>That’s all we know.</ins>\n"
            )),
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self.content {
            Content::Error(_) => JSON,
            Content::Page(_) => HTML,
        }
    }

    /// Returns the error on one line, as an SSE event contains it.
    pub(crate) fn compact(&self) -> String {
        match &self.content {
            Content::Page(page) => page.clone(),
            Content::Error(error) => error.to_string(),
        }
    }

    /// Returns the body in Google's layout; in a stream without SSE it is `in_array`.
    pub(crate) fn body(&self, in_array: bool) -> String {
        match &self.content {
            Content::Page(page) => page.clone(),
            Content::Error(error) if in_array => format!("[{error:#}\n]\n"),
            Content::Error(error) => format!("{error:#}\n"),
        }
    }
}

fn info(reason: &str, metadata: &Value) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
           "metadata": metadata})
}

fn localized(message: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message})
}

/// Returns 403 `PERMISSION_DENIED` with a reason, as Google's API front end rejects a key or
/// project.
fn denied(asked: Asked, reason: &str, message: &str, more: &[(&str, &str)]) -> Refusal {
    let mut metadata = json!({"consumer": format!("projects/{}", asked.project), "service": SERVICE});
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.extend(more.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
    }
    Refusal::error(403, "PERMISSION_DENIED", message, &[info(reason, &metadata), localized(message)])
}

fn bad_key(message: &str) -> Refusal {
    let details = [info("API_KEY_INVALID", &json!({"service": SERVICE})), localized(message)];
    Refusal::error(400, "INVALID_ARGUMENT", message, &details)
}

/// Returns the error of a request without a credential.
pub(crate) fn unregistered() -> Refusal {
    let message = "Method doesn't allow unregistered callers (callers without established identity). Please use API \
                   Key or other form of API consumer identity to call this API.";
    Refusal::error(403, "PERMISSION_DENIED", message, &[])
}

/// Returns the error of a request with several credentials.
pub(crate) fn several_credentials() -> Refusal {
    Refusal::invalid_argument("Multiple authentication credentials received. Please pass only one.")
}

/// Returns the error of an invalid OAuth token or a truncated auth key.
pub(crate) fn unauthenticated(method: &str) -> Refusal {
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                   other valid authentication credential. See \
                   https://developers.google.com/identity/sign-in/web/devconsole-project.";
    let metadata = json!({"method": rpc_name(method), "service": SERVICE});
    Refusal::error(401, "UNAUTHENTICATED", message, &[info("ACCESS_TOKEN_TYPE_UNSUPPORTED", &metadata)])
}

/// Returns `google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent` for
/// `generateContent`.
fn rpc_name(method: &str) -> String {
    let service = if matches!(method, "list" | "get") { "ModelService" } else { "GenerativeService" };
    let name = match method {
        "list" => "ListModels".to_owned(),
        "get" => "GetModel".to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
        }
    };
    format!("google.ai.generativelanguage.v1beta.{service}.{name}")
}

/// Returns the error of an unknown model or of a method that it lacks.
pub(crate) fn not_found(model: &str, method: &str) -> Refusal {
    let message = if method == "get" {
        format!("Model is not found: models/{model} for api version v1beta")
    } else {
        format!(
            "models/{model} is not found for API version v1beta, or is not supported for {method}. Call ListModels to \
             see the list of available models and their supported methods."
        )
    };
    Refusal::error(404, "NOT_FOUND", &message, &[])
}

/// Returns the error of an unknown path.
pub(crate) fn no_such_path(path: &str) -> Refusal {
    let text = format!("The requested URL <code>{}</code> was not found on this server.", escape(path));
    Refusal::page(404, "Not Found", &text)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the error of an unknown field.
pub(crate) fn bad_request(message: &str) -> Refusal {
    let violations = json!({"@type": "type.googleapis.com/google.rpc.BadRequest",
                            "fieldViolations": [{"description": message}]});
    Refusal::error(400, "INVALID_ARGUMENT", message, &[violations])
}

/// Returns 503, which also ends truncated streams.
pub(crate) fn overloaded() -> Refusal {
    let message = "This model is currently experiencing high demand. Spikes in demand are usually temporary. Please \
                   try again later.";
    Refusal::error(503, "UNAVAILABLE", message, &[])
}

/// Returns the error of a behaviour, if it has one.
pub(crate) fn of(behaviour: Behaviour, asked: Asked) -> Option<Refusal> {
    of_credential(behaviour, asked)
        .or_else(|| of_quota(behaviour, asked))
        .or_else(|| of_service(behaviour, asked))
}

fn of_credential(behaviour: Behaviour, asked: Asked) -> Option<Refusal> {
    let project = asked.project;
    Some(match behaviour {
        Behaviour::Invalid => bad_key("API key not valid. Please pass a valid API key."),
        Behaviour::Expired => bad_key("API key expired. Please renew the API key."),
        Behaviour::Unauthenticated => unauthenticated(asked.method),
        Behaviour::Suspended => {
            let consumer = format!("api_key:{}", asked.key);
            let message = format!("Permission denied: Consumer '{consumer}' has been suspended.");
            denied(asked, "CONSUMER_SUSPENDED", &message, &[("containerInfo", &consumer)])
        }
        Behaviour::Leaked => {
            let message = "Your API key was reported as leaked. Please use another API key.";
            Refusal::error(403, "PERMISSION_DENIED", message, &[])
        }
        Behaviour::Permission => {
            Refusal::error(403, "PERMISSION_DENIED", "The caller does not have permission", &[])
        }
        Behaviour::ServiceDisabled => {
            let url = format!(
                "https://console.developers.google.com/apis/api/{SERVICE}/overview?project={project}"
            );
            let message = format!(
                "Generative Language API has not been used in project {project} before or it is disabled. Enable it \
                 by visiting {url} then retry. If you enabled this API recently, wait a few minutes for the action \
                 to propagate to our systems and retry."
            );
            let more = [
                ("serviceTitle", "Generative Language API"),
                ("containerInfo", project),
                ("activationUrl", &url),
            ];
            denied(asked, "SERVICE_DISABLED", &message, &more)
        }
        Behaviour::ServiceBlocked => {
            let rpc = rpc_name(asked.method);
            let message = format!("Requests to this API {SERVICE} method {rpc} are blocked.");
            denied(asked, "API_KEY_SERVICE_BLOCKED", &message, &[("apiName", SERVICE), ("methodName", &rpc)])
        }
        Behaviour::ReferrerBlocked => {
            let message = "Requests from referer <empty> are blocked.";
            denied(asked, "API_KEY_HTTP_REFERRER_BLOCKED", message, &[("httpReferrer", "<empty>")])
        }
        Behaviour::IpBlocked => {
            let message = "The provided API key has an IP address restriction. The originating IP address of the call \
                           (192.0.2.1) violates this restriction.";
            denied(asked, "API_KEY_IP_ADDRESS_BLOCKED", message, &[("callerIp", "192.0.2.1")])
        }
        Behaviour::BillingDisabled => {
            let message = format!(
                "This API method requires billing to be enabled. Please enable billing on project #{project} by \
                 visiting https://console.developers.google.com/billing/enable?project={project} then retry."
            );
            denied(asked, "BILLING_DISABLED", &message, &[("containerInfo", project)])
        }
        Behaviour::ConsumerInvalid => {
            let message = format!("Permission denied on resource project {project}.");
            denied(asked, "CONSUMER_INVALID", &message, &[("containerInfo", project)])
        }
        _ => return None,
    })
}

fn of_quota(behaviour: Behaviour, asked: Asked) -> Option<Refusal> {
    let violation = |kind, limit| Violation { kind, limit };
    Some(match behaviour {
        Behaviour::NoQuota => quota(
            asked,
            &[violation(QuotaKind::InputTokensPerMinute, 0), violation(QuotaKind::RequestsPerMinute, 0)],
        ),
        Behaviour::ExhaustedMinute => {
            quota(asked, &[violation(QuotaKind::RequestsPerMinute, USUAL_REQUESTS_PER_MINUTE)])
        }
        Behaviour::ExhaustedDay => {
            quota(asked, &[violation(QuotaKind::RequestsPerDay, USUAL_REQUESTS_PER_DAY)])
        }
        Behaviour::ExhaustedTokens => {
            quota(asked, &[violation(QuotaKind::InputTokensPerMinute, USUAL_INPUT_TOKENS_PER_MINUTE)])
        }
        Behaviour::ExhaustedBare => {
            Refusal::error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).", &[])
        }
        Behaviour::ExhaustedUnknown => {
            let message = "Requests of this tier are paused while capacity is rebalanced.";
            Refusal::error(429, "RESOURCE_EXHAUSTED", message, &[])
        }
        Behaviour::ErrorInSuccess => {
            let refusal = quota(asked, &[violation(QuotaKind::RequestsPerMinute, USUAL_REQUESTS_PER_MINUTE)]);
            Refusal { status: 200, ..refusal }
        }
        Behaviour::Billing | Behaviour::PaymentRequired => {
            let status = if behaviour == Behaviour::Billing { 429 } else { 402 };
            let message = "Your prepayment credits are depleted. Please go to AI Studio at \
                           https://ai.studio/projects to manage your project and billing.";
            Refusal::error(status, "RESOURCE_EXHAUSTED", message, &[])
        }
        Behaviour::SpendWindow => {
            let message = "Your billing account has reached its spend limit for the last 10 minutes. Please slow down \
                           or ask for a higher usage tier.";
            Refusal::error(429, "RESOURCE_EXHAUSTED", message, &[])
        }
        Behaviour::FreeTierUnavailable => {
            let message = "Gemini API free tier is not available in your country. Please enable billing on your \
                           project in Google AI Studio.";
            Refusal::error(400, "FAILED_PRECONDITION", message, &[])
        }
        Behaviour::Location => {
            Refusal::error(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", &[])
        }
        _ => return None,
    })
}

fn of_service(behaviour: Behaviour, asked: Asked) -> Option<Refusal> {
    let model = asked.model;
    Some(match behaviour {
        Behaviour::Overloaded => overloaded(),
        Behaviour::Internal => {
            let message = "An internal error has occurred. Please retry or report in \
                           https://developers.generativeai.google/guide/troubleshooting";
            Refusal::error(500, "INTERNAL", message, &[])
        }
        Behaviour::BadGatewayHtml => Refusal::page(
            502,
            "Server Error",
            "The server encountered a temporary error and could not complete your request.<p>Please try again in 30 \
             seconds.",
        ),
        Behaviour::ForbiddenPage => {
            Refusal::page(403, "Forbidden", "This site is blocked by your organisation.")
        }
        Behaviour::Deadline => {
            Refusal::error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", &[])
        }
        Behaviour::NewUsers => {
            let message = format!(
                "This model models/{model} is no longer available to new users. Please update your code to use a \
                 newer model for the latest features and improvements."
            );
            Refusal::error(404, "NOT_FOUND", &message, &[])
        }
        Behaviour::NotFound => not_found(model, asked.method),
        Behaviour::InvalidArgument => Refusal::invalid_argument("Request contains an invalid argument."),
        Behaviour::ContextTooLong => Refusal::invalid_argument(
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        Behaviour::FileForbidden => Refusal::error(
            403,
            "PERMISSION_DENIED",
            "You do not have permission to access the File abc123 or it may not exist.",
            &[],
        ),
        Behaviour::TooLarge => {
            Refusal::page(413, "Request Entity Too Large", "Your client issued a request that was too large.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

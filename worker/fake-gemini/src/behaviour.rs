//! Behaviours of keys, models and the whole server.
//!
//! The bodies of upstream errors are in [`crate::refusal`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the server responds to a request with a known key. All groups but the last are API errors
/// with Gemini's own body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Success, unless a limit is exceeded.
    #[default]
    Ok,

    /// 400 `API_KEY_INVALID`: "API key not valid."
    Invalid,
    /// 400 `API_KEY_INVALID`: "API key expired."
    Expired,
    /// 401 `ACCESS_TOKEN_TYPE_UNSUPPORTED`: a truncated or unlinked auth key.
    Unauthenticated,
    /// 403 `CONSUMER_SUSPENDED`; the message contains the key itself.
    Suspended,
    /// 403 "Your API key was reported as leaked."
    Leaked,
    /// 403 `SERVICE_DISABLED`: the API is off in the key's project.
    ServiceDisabled,
    /// 403 `API_KEY_SERVICE_BLOCKED`: the key is restricted to other APIs.
    ServiceBlocked,
    /// 403 `API_KEY_HTTP_REFERRER_BLOCKED`.
    ReferrerBlocked,
    /// 403 `API_KEY_IP_ADDRESS_BLOCKED`.
    IpBlocked,
    /// 403 `BILLING_DISABLED`.
    BillingDisabled,
    /// 403 `CONSUMER_INVALID`: the key's project does not exist.
    ConsumerInvalid,
    /// 403 "The caller does not have permission", without a reason.
    Permission,

    /// 429 "Your prepayment credits are depleted."
    Billing,
    /// 402 with the same message.
    PaymentRequired,
    /// 429: the billing account has reached its spending limit of a rolling ten minutes. The text
    /// is a guess, because Google has not published it.
    SpendWindow,
    /// 400 `FAILED_PRECONDITION`: no free tier in the project's country.
    FreeTierUnavailable,
    /// 400 `FAILED_PRECONDITION`: "User location is not supported."
    Location,
    /// 429 with a quota value of 0: the model has no free tier.
    NoQuota,
    /// 429 for requests per minute.
    ExhaustedMinute,
    /// 429 for requests per day, with Gemini's misleading short retry delay.
    ExhaustedDay,
    /// 429 for input tokens per minute.
    ExhaustedTokens,
    /// 429 "Resource has been exhausted (e.g. check quota)." without details.
    ExhaustedBare,
    /// 429 with an undocumented text, without details.
    ExhaustedUnknown,
    /// 429 for requests per minute, in the body of a 200.
    ErrorInSuccess,

    /// 503 `UNAVAILABLE`: high demand.
    Overloaded,
    /// 500 `INTERNAL`.
    Internal,
    /// 502 with an HTML page of the front end.
    BadGatewayHtml,
    /// 403 with the HTML page of a filtering proxy.
    ForbiddenPage,
    /// 504 `DEADLINE_EXCEEDED`.
    Deadline,

    /// 404 "no longer available to new users".
    NewUsers,
    /// 404 "is not found for API version v1beta".
    NotFound,
    /// 400 `INVALID_ARGUMENT`: "Request contains an invalid argument."
    InvalidArgument,
    /// 400: more input tokens than the model accepts.
    ContextTooLong,
    /// 403 for a file of another project.
    FileForbidden,
    /// 413 with an HTML page of the front end.
    TooLarge,

    /// The connection closes in the middle of the response.
    Cut,
    /// The stream ends with an SSE event that holds a 503.
    ErrorMidStream,
    /// The stream ends with a 503 as bare JSON over several lines, not as an SSE event.
    RawErrorTail,
    /// The response ends cleanly but without a finish reason.
    Truncated,
    /// No response; the connection stays open.
    Silent,
    /// The connection closes before the response.
    Close,
    /// Success after a delay: see [`Treatment::before_headers`].
    Slow,

    /// 200 with finish reason `MALFORMED_FUNCTION_CALL` and no content.
    MalformedFunctionCall,
    /// 200 with finish reason `STOP` and no content.
    Empty,
    /// 200 with `promptFeedback.blockReason` and no candidates.
    PromptBlocked,
}

impl Behaviour {
    /// Returns `true` if it also applies to model lists. Gemini lists models for keys that cannot
    /// generate: quotas, billing and errors of models do not show there.
    pub(crate) fn meets_listing(self) -> bool {
        use Behaviour as B;
        matches!(
            self,
            B::Invalid
                | B::Expired
                | B::Unauthenticated
                | B::Suspended
                | B::Leaked
                | B::ServiceDisabled
                | B::ServiceBlocked
                | B::ReferrerBlocked
                | B::IpBlocked
                | B::BillingDisabled
                | B::ConsumerInvalid
                | B::Permission
                | B::ForbiddenPage
                | B::Location
                | B::Internal
                | B::BadGatewayHtml
                | B::Silent
                | B::Close
                | B::Slow
        )
    }
}

/// A behaviour with its parameters. In a scenario file either a name (`"cut"`) or a table (`{ kind
/// = "cut", after_frames = 2 }`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Treatment {
    /// The behaviour.
    pub kind: Behaviour,
    /// Frames sent before `cut`, `error_mid_stream`, `raw_error_tail` or `truncated` takes effect.
    pub after_frames: usize,
    /// Milliseconds before the response headers, instead of the scenario's value.
    pub before_headers_ms: Option<u64>,
    /// Milliseconds between the frames of a stream, instead of the scenario's value.
    pub between_frames_ms: Option<u64>,
}

/// Delay of `slow` if none is given.
const SLOW_BEFORE_HEADERS_MS: u64 = 3_000;
const SLOW_BETWEEN_FRAMES_MS: u64 = 500;

impl Treatment {
    /// Returns the delay before the headers; `usual` is the scenario's.
    pub(crate) fn before_headers(&self, usual: u64) -> Duration {
        Duration::from_millis(self.delay(self.before_headers_ms, SLOW_BEFORE_HEADERS_MS, usual))
    }

    /// Returns the delay between frames; `usual` is the scenario's.
    pub(crate) fn between_frames(&self, usual: u64) -> Duration {
        Duration::from_millis(self.delay(self.between_frames_ms, SLOW_BETWEEN_FRAMES_MS, usual))
    }

    fn delay(&self, own: Option<u64>, slow: u64, usual: u64) -> u64 {
        own.unwrap_or(if self.kind == Behaviour::Slow { slow } else { usual })
    }
}

impl Default for Treatment {
    fn default() -> Self {
        Behaviour::Ok.into()
    }
}

impl From<Behaviour> for Treatment {
    fn from(kind: Behaviour) -> Self {
        Self { kind, after_frames: 1, before_headers_ms: None, between_frames_ms: None }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected the name of a behaviour, or a table with `kind` and any of `after_frames`, \
                 `before_headers_ms`, `between_frames_ms`"
)]
enum Written {
    Name(Behaviour),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: Behaviour,
    #[serde(default = "one")]
    after_frames: usize,
    before_headers_ms: Option<u64>,
    between_frames_ms: Option<u64>,
}

fn one() -> usize {
    1
}

impl From<Written> for Treatment {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(kind) => kind.into(),
            Written::Table(table) => Self {
                kind: table.kind,
                after_frames: table.after_frames,
                before_headers_ms: table.before_headers_ms,
                between_frames_ms: table.between_frames_ms,
            },
        }
    }
}

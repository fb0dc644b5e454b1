//! The causes of upstream errors, and what follows from each.

use serde::{Deserialize, Serialize};

/// The cause of an upstream error or of a missing response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The key is wrong or expired. Said twice before it is believed, and rechecked daily then.
    InvalidKey,
    /// The key was published somewhere, and Google knows.
    LeakedKey,
    /// The key's project is suspended.
    Suspended,
    /// The key or its project may not use the API.
    Blocked(BlockReason),
    /// The project has to be paid for first.
    Billing,
    /// The billing account has spent what it may in a rolling ten minutes.
    SpendWindow,
    /// Requests a minute or an hour.
    RequestQuota,
    /// Input tokens a minute.
    TokenQuota,
    /// A quota of the day.
    DayQuota,
    /// The project has no quota of this model.
    NoQuota,
    /// 429 without any detail: a burst, shared capacity, or the address that the call came from.
    Burst,
    /// The model is closed to new users.
    NewUsers,
    /// The key's project has no access to the model, which exists for other keys.
    NoAccess,
    /// The model has more to do than it can.
    Overloaded,
    /// A fault inside Gemini.
    Internal,
    /// Gemini did not get done in time.
    Deadline,
    /// A response with nothing usable in it.
    SoftFailure,
    /// Gemini does not serve the place that the call came from.
    Location,
    /// The network, or Google's front end.
    Network,
    /// No such model.
    UnknownModel,
    /// The request itself.
    Caller,
    /// This service sent something that it never should.
    Ours,
}

/// What keeps a key or project from using the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockReason {
    /// The API is not enabled in the project.
    ServiceDisabled,
    /// Billing is off in the project.
    BillingDisabled,
    /// The project is deleted or unknown.
    ConsumerInvalid,
    /// The key is restricted to other APIs.
    ServiceBlocked,
    /// The key is restricted to certain websites.
    Referrer,
    /// The key is restricted to certain addresses.
    Address,
    /// The key is restricted to certain apps.
    App,
    /// Any other error of permission.
    Permission,
}

/// The evidence of a verdict. Only structure marks a key: text may be the client's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Evidence {
    /// Fields that only Google writes: `ErrorInfo.reason`, the quotas of `QuotaFailure`, the HTTP status with its name.
    #[default]
    Structure,
    /// The HTTP status and its name, of an error that gives no known reason. Believed; a probe confirms it.
    Status,
    /// The text of the message. The key is suspect until a probe has decided.
    Text,
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The key's.
    Key,
    /// That of the key's project, for one model or for all.
    Project,
    /// That of the billing account above the key's project; of the project alone where no account is known.
    Account,
    /// The model's.
    Model,
    /// That of the place the call came from.
    Egress,
    /// The network's.
    Network,
    /// The client's.
    Caller,
    /// This service's.
    Ours,
}

/// Whether another key may do better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the response would be the same.
    Stop,
    /// Yes, without a pause.
    AnotherKey,
    /// Yes, up to a number of attempts that end with this cause.
    AtMost {
        /// Attempts, the first included.
        attempts: usize,
        /// How many of them are followed by no pause.
        at_once: usize,
    },
}

impl BlockReason {
    /// Returns the reason that a `google.rpc.ErrorInfo` gives
    /// (<https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto>).
    pub(super) fn from_info(reason: &str) -> Option<Self> {
        Some(match reason {
            "SERVICE_DISABLED" => Self::ServiceDisabled,
            "BILLING_DISABLED" => Self::BillingDisabled,
            "CONSUMER_INVALID" => Self::ConsumerInvalid,
            "API_KEY_SERVICE_BLOCKED" => Self::ServiceBlocked,
            "API_KEY_HTTP_REFERRER_BLOCKED" => Self::Referrer,
            "API_KEY_IP_ADDRESS_BLOCKED" => Self::Address,
            "API_KEY_ANDROID_APP_BLOCKED" | "API_KEY_IOS_APP_BLOCKED" => Self::App,
            _ => return None,
        })
    }

    const fn fault(self) -> Fault {
        match self {
            Self::ServiceDisabled | Self::BillingDisabled | Self::ConsumerInvalid => Fault::Project,
            Self::ServiceBlocked | Self::Referrer | Self::Address | Self::App | Self::Permission => {
                Fault::Key
            }
        }
    }
}

impl Cause {
    /// Whose fault it is. Only [`Fault::Key`] and [`Fault::Project`] say anything about a key.
    #[must_use]
    pub const fn fault(self) -> Fault {
        match self {
            Self::InvalidKey | Self::LeakedKey | Self::NewUsers | Self::NoAccess => Fault::Key,
            Self::Blocked(reason) => reason.fault(),
            Self::Billing | Self::SpendWindow => Fault::Account,
            Self::Suspended | Self::RequestQuota | Self::TokenQuota | Self::DayQuota | Self::NoQuota => {
                Fault::Project
            }
            Self::Burst | Self::Overloaded | Self::Internal | Self::Deadline | Self::SoftFailure => {
                Fault::Model
            }
            Self::Location => Fault::Egress,
            Self::Network => Fault::Network,
            Self::UnknownModel | Self::Caller => Fault::Caller,
            Self::Ours => Fault::Ours,
        }
    }

    /// Whether another key may do better.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::InvalidKey
            | Self::LeakedKey
            | Self::Suspended
            | Self::Blocked(_)
            | Self::Billing
            | Self::SpendWindow
            | Self::RequestQuota
            | Self::TokenQuota
            | Self::DayQuota
            | Self::NoQuota
            | Self::NewUsers
            | Self::NoAccess => Retry::AnotherKey,
            // Three keys that say so one after another mean that it is not the keys.
            Self::Burst => Retry::AtMost { attempts: 3, at_once: 3 },
            Self::Overloaded | Self::Internal => Retry::AtMost { attempts: 3, at_once: 0 },
            Self::Deadline | Self::SoftFailure | Self::Location => Retry::AtMost { attempts: 2, at_once: 2 },
            Self::Network => Retry::AtMost { attempts: 4, at_once: 1 },
            Self::UnknownModel | Self::Caller | Self::Ours => Retry::Stop,
        }
    }

    /// Returns `true` if the error is about a quota.
    #[must_use]
    pub const fn is_quota(self) -> bool {
        matches!(self, Self::RequestQuota | Self::TokenQuota | Self::DayQuota | Self::NoQuota | Self::Burst)
    }

    /// Returns `true` if another model may do better.
    #[must_use]
    pub const fn another_model_helps(self) -> bool {
        matches!(
            self,
            Self::RequestQuota
                | Self::TokenQuota
                | Self::DayQuota
                | Self::NoQuota
                | Self::Burst
                | Self::NewUsers
                | Self::NoAccess
                | Self::Overloaded
                | Self::Internal
                | Self::Deadline
        )
    }
}

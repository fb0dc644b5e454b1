//! Flags of a client key's limits and allowlists, and their display.

use clap::Args;
use pool_shared::{ClientKeyRules, Limits};

use crate::describe::limits_text;

/// Limits and allowlists of a client key; without a flag, those of the pool apply.
#[derive(Args)]
pub struct Rules {
    /// Maximum requests per minute
    #[arg(long, value_name = "NUMBER")]
    rpm: Option<u64>,
    /// Maximum requests per day (resets at midnight Pacific Time)
    #[arg(long, value_name = "NUMBER")]
    rpd: Option<u64>,
    /// Maximum tokens per minute (prompt + completion)
    #[arg(long, value_name = "NUMBER")]
    tpm: Option<u64>,
    /// Maximum tokens per day (prompt + completion)
    #[arg(long, value_name = "NUMBER")]
    tpd: Option<u64>,
    /// Allowlist of models, comma-separated; * is a wildcard
    #[arg(long, value_name = "MODELS", value_delimiter = ',')]
    pub models: Vec<String>,
    /// Allowlist of addresses and networks, comma-separated
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    pub cidr: Vec<String>,
}

impl Rules {
    /// Returns the given limits.
    pub const fn limits(&self) -> Limits {
        Limits {
            requests_per_minute: self.rpm,
            requests_per_day: self.rpd,
            tokens_per_minute: self.tpm,
            tokens_per_day: self.tpd,
        }
    }
}

/// Updates of a client key's limits and allowlists.
#[derive(Args, Default)]
pub struct RuleChanges {
    /// Maximum requests per minute; none for no limit
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    rpm: Option<Limit>,
    /// Maximum requests per day; none for no limit
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    rpd: Option<Limit>,
    /// Maximum tokens per minute (prompt + completion); none for no limit
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    tpm: Option<Limit>,
    /// Maximum tokens per day (prompt + completion); none for no limit
    #[arg(long, value_name = "NUMBER|none", value_parser = limit)]
    tpd: Option<Limit>,
    /// Allowlist of models, comma-separated, replaces the present one; all for every model of the
    /// pool
    #[arg(long, value_name = "MODELS|all", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// Allowlist of addresses and networks, comma-separated, replaces the present one; all for
    /// every address
    #[arg(long, value_name = "NETWORKS|all", value_delimiter = ',')]
    cidr: Option<Vec<String>>,
}

/// A limit that a flag sets or removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => {
            text.parse().map(|number| Limit(Some(number))).map_err(|_| "expected a number or none".to_owned())
        }
    }
}

impl RuleChanges {
    /// Returns `true` if no flag is given.
    pub const fn is_empty(&self) -> bool {
        !self.changes_limits() && self.models.is_none() && self.cidr.is_none()
    }

    const fn changes_limits(&self) -> bool {
        self.rpm.is_some() || self.rpd.is_some() || self.tpm.is_some() || self.tpd.is_some()
    }

    /// Returns all four limits after the change; `None` if none of them changes.
    pub fn limits(&self, present: &Limits) -> Option<Limits> {
        let changed = |flag: Option<Limit>, present| flag.map_or(present, |Limit(limit)| limit);
        self.changes_limits().then(|| Limits {
            requests_per_minute: changed(self.rpm, present.requests_per_minute),
            requests_per_day: changed(self.rpd, present.requests_per_day),
            tokens_per_minute: changed(self.tpm, present.tokens_per_minute),
            tokens_per_day: changed(self.tpd, present.tokens_per_day),
        })
    }

    /// Returns the new allowlist of models, empty for all.
    pub fn models(&self) -> Option<Vec<String>> {
        self.models.clone().map(all_is_empty)
    }

    /// Returns the new allowlist of networks, empty for all.
    pub fn networks(&self) -> Option<Vec<String>> {
        self.cidr.clone().map(all_is_empty)
    }
}

fn all_is_empty(list: Vec<String>) -> Vec<String> {
    if list == ["all"] { Vec::new() } else { list }
}

/// Returns the rules as three cells: limits, models, networks.
pub fn cells(rules: &ClientKeyRules) -> [String; 3] {
    let list = |list: &[String]| if list.is_empty() { "all".to_owned() } else { list.join(", ") };
    let limits = limits_text(&rules.limits);
    let limits = if limits.is_empty() { "none".to_owned() } else { limits };
    [limits, list(&rules.allowed_models), list(&rules.allowed_networks)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_the_limits_that_it_does_not_name() {
        let present = Limits { requests_per_minute: Some(60), tokens_per_day: Some(5), ..Limits::default() };
        let changes = RuleChanges {
            rpm: Some(Limit(None)),
            rpd: Some(Limit(Some(9))),
            models: Some(vec!["all".to_owned()]),
            ..RuleChanges::default()
        };
        let expected = Limits { requests_per_day: Some(9), tokens_per_day: Some(5), ..Limits::default() };
        assert_eq!(changes.limits(&present), Some(expected));
        assert_eq!((changes.models(), changes.networks()), (Some(Vec::new()), None));
        assert_eq!(RuleChanges::default().limits(&present), None);
        assert!(RuleChanges::default().is_empty() && !changes.is_empty());
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(limit("none"), Ok(Limit(None)));
        assert_eq!(limit("0"), Ok(Limit(Some(0))));
        assert!(limit("-1").is_err() && limit("").is_err() && limit("1k").is_err());
    }
}

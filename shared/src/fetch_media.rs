//! Whether a pool fetches what a request names by URL, and from where.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::bounds::patterns;
use crate::{bounds, object};

/// Who fetches what a request names by URL: `false` nobody, `true` the service, `"gemini"` Gemini itself, a list of hosts
/// the service from these, and an object who from where.
///
/// A host is `example.com` for that host alone, or `*.example.com` for all below it. In the form that DNS has, which is
/// `xn--…` for names beyond ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    untagged,
    expecting = "true, false, \"gemini\", a list of hosts, or {\"gemini\": HOSTS, \"own\": HOSTS}"
)]
pub enum FetchMedia {
    /// The service from every public host, or nobody.
    Switch(bool),
    /// The service from these.
    From(
        #[cfg_attr(feature = "schema", schemars(length(max = bounds::HOSTS), inner(length(max = bounds::HOST), regex(pattern = patterns::HOST))))]
         Vec<String>,
    ),
    /// Gemini from every public host.
    By(Fetcher),
    /// Gemini from some, the service from others and from those that Gemini rejects.
    Each(#[serde(deserialize_with = "object::object")] FetchHosts),
}

/// Who else than the service fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fetcher {
    /// Gemini: URLs continue as they are, and no bytes come through the service.
    Gemini,
}

/// Who fetches from which hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FetchHosts {
    /// Gemini. In an update null means none.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Hosts>"))]
    pub gemini: Hosts,
    /// The service; also what Gemini fails to fetch. In an update null means none.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Hosts>"))]
    pub own: Hosts,
}

/// All hosts, none, or a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "true, false or a list of hosts")]
pub enum Hosts {
    /// Every public host, or none.
    Switch(bool),
    /// These.
    From(
        #[cfg_attr(feature = "schema", schemars(length(max = bounds::HOSTS), inner(length(max = bounds::HOST), regex(pattern = patterns::HOST))))]
         Vec<String>,
    ),
}

impl Default for Hosts {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl Hosts {
    fn contain(&self, host: &str) -> bool {
        match self {
            Self::Switch(on) => *on,
            Self::From(hosts) => is_among(host, hosts),
        }
    }

    fn are_possible(&self) -> bool {
        match self {
            Self::Switch(_) => true,
            Self::From(hosts) => can_be_hosts(hosts),
        }
    }
}

impl Default for FetchMedia {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl FetchMedia {
    /// Returns `true` if anything is fetched.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Returns `true` if the service may fetch media from a host, its name in lower case.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        match self {
            Self::Switch(on) => *on,
            Self::From(hosts) => is_among(host, hosts),
            Self::By(Fetcher::Gemini) => false,
            Self::Each(each) => each.own.contain(host),
        }
    }

    /// Returns `true` if Gemini is to fetch media from a host, its name in lower case.
    #[must_use]
    pub fn leaves_to_gemini(&self, host: &str) -> bool {
        match self {
            Self::Switch(_) | Self::From(_) => false,
            Self::By(Fetcher::Gemini) => true,
            Self::Each(each) => each.gemini.contain(host),
        }
    }

    /// Returns `true` if every host in the lists can be one.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        match self {
            Self::Switch(_) | Self::By(_) => true,
            Self::From(hosts) => can_be_hosts(hosts),
            Self::Each(each) => each.gemini.are_possible() && each.own.are_possible(),
        }
    }
}

fn is_among(host: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
        // With its dot: `notexample.com` does not end in `.example.com`.
        Some(end) => host.len() > end.len() && host.ends_with(end),
        None => host == allowed,
    })
}

fn can_be_hosts(hosts: &[String]) -> bool {
    let is_host = |host: &String| {
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
                })
        };
        host.len() <= bounds::HOST && name.split('.').all(is_label)
    };
    hosts.len() <= bounds::HOSTS && hosts.iter().all(is_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> FetchMedia {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_host_is_allowed_alone_or_with_all_below_it() {
        let some = read(r#"["example.com","*.cdn.example"]"#);
        for host in ["example.com", "a.cdn.example", "a.b.cdn.example"] {
            assert!(some.allows(host), "{host}");
        }
        for host in ["www.example.com", "notexample.com", "cdn.example", ".cdn.example", "notcdn.example", ""]
        {
            assert!(!some.allows(host), "{host}");
        }
        assert!(read("true").allows("any.host") && !read("false").allows("any.host"));
        assert!(!read("[]").allows("any.host"));
    }

    #[test]
    fn a_list_holds_names_of_hosts_only() {
        for possible in
            ["true", "[]", r#"["a.example","*.b.example","xn--fsq.example","localhost","192.0.2.1"]"#]
        {
            assert!(read(possible).is_possible(), "{possible}");
        }
        for impossible in
            ["*", "", "A.example", "https://a.example", "a.example:443", "a..b", "*.*.b", "a/b", "ä.example"]
        {
            assert!(!FetchMedia::From(vec![impossible.to_owned()]).is_possible(), "{impossible}");
        }
        assert!(!FetchMedia::From(vec!["a".to_owned(); 101]).is_possible());
    }

    #[test]
    fn gemini_fetches_alone_or_from_some_hosts() {
        let gemini = read(r#""gemini""#);
        assert!(gemini.is_on() && gemini.leaves_to_gemini("a.example") && !gemini.allows("a.example"));
        let each = read(r#"{"gemini":["*.cdn.example"],"own":true}"#);
        assert!(each.leaves_to_gemini("a.cdn.example") && each.allows("a.cdn.example"));
        assert!(!each.leaves_to_gemini("b.example") && each.allows("b.example"));
        assert!(!read(r#"{"gemini":true}"#).allows("a.example"));
        for text in ["true", r#"["a.example"]"#] {
            assert!(!read(text).leaves_to_gemini("a.example"), "{text}");
        }
        assert!(!read(r#"{"gemini":["https://a.example"]}"#).is_possible());
        for text in [r#""google""#, r#"{"gemni":true}"#, "1", "[false]"] {
            let error = serde_json::from_str::<FetchMedia>(text).unwrap_err().to_string();
            assert!(error.contains("gemini"), "{text}: {error}");
        }
    }
}

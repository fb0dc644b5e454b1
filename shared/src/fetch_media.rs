//! Whether a pool fetches what a request names by URL, and from where.

use serde::{Deserialize, Serialize};

use crate::bounds;
#[cfg(feature = "schema")]
use crate::bounds::patterns;

/// `false`, `true`, or the hosts that media are fetched from: `example.com` for that host alone,
/// `*.example.com` for all below it. In the form that DNS has, which is `xn--…` for names beyond ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "true, false or a list of hosts")]
pub enum FetchMedia {
    /// From every public host, or not at all.
    Switch(bool),
    /// From these.
    From(
        #[cfg_attr(feature = "schema", schemars(length(max = bounds::HOSTS), inner(length(max = bounds::HOST), regex(pattern = patterns::HOST))))]
         Vec<String>,
    ),
}

impl Default for FetchMedia {
    fn default() -> Self {
        Self::Switch(false)
    }
}

impl FetchMedia {
    /// Whether anything is fetched.
    #[must_use]
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Whether media may come from a host, its name in lower case.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        match self {
            Self::Switch(on) => *on,
            Self::From(hosts) => hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
                // With its dot: `notexample.com` does not end in `.example.com`.
                Some(end) => host.len() > end.len() && host.ends_with(end),
                None => host == allowed,
            }),
        }
    }

    /// Whether every host in the list can be one.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let Self::From(hosts) = self else { return true };
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
}

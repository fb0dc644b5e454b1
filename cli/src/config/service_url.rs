//! The address of a pool service.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

/// Address of a pool service: scheme, host, port and optionally a path, without a trailing slash.
/// Equivalent addresses compare equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceUrl(Url);

/// Why a text is not an address of a service. It does not contain the text, which may have a
/// password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceUrlError {
    /// Not a URL.
    #[error("not a URL; expected one such as https://pool.example.com or http://127.0.0.1:8787")]
    Syntax,
    /// Another scheme, or no host.
    #[error("the URL must start with https:// or http://")]
    Scheme,
    /// `user:password@`, `?query` or `#fragment`.
    #[error("the URL must not have a user, password, query or fragment")]
    Extra,
}

impl ServiceUrl {
    /// Parses an address.
    pub fn parse(text: &str) -> Result<Self, ServiceUrlError> {
        let mut url = Url::parse(text.trim()).map_err(|_| ServiceUrlError::Syntax)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(ServiceUrlError::Scheme);
        }
        let extra = !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some();
        if extra {
            return Err(ServiceUrlError::Extra);
        }
        let path = url.path().trim_end_matches('/').trim_end_matches(pool_shared::ADMIN_PREFIX);
        let path = path.trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    /// Returns `true` if secrets may be sent there: it is encrypted, or on this machine.
    pub fn is_private(&self) -> bool {
        self.0.scheme() == "https" || self.0.host_str().is_some_and(pool_shared::is_loopback)
    }

    /// Returns the URL of a route of the admin API; each segment is percent-encoded.
    pub fn admin(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(pool_shared::ADMIN_PREFIX.split('/').skip(1)).extend(segments);
        }
        url
    }

    /// Returns the base URL for an OpenAI client.
    pub fn openai_base(&self) -> String {
        format!("{self}/v1")
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl std::str::FromStr for ServiceUrl {
    type Err = ServiceUrlError;

    fn from_str(text: &str) -> Result<Self, ServiceUrlError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ServiceUrl {
    type Error = ServiceUrlError;

    fn try_from(text: String) -> Result<Self, ServiceUrlError> {
        Self::parse(&text)
    }
}

impl From<ServiceUrl> for String {
    fn from(url: ServiceUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_has_one_form() {
        let forms = [
            "https://Pool.Example.com",
            "https://pool.example.com/",
            " https://pool.example.com:443/admin/v1/ ",
        ];
        for text in forms {
            assert_eq!(ServiceUrl::parse(text).unwrap().to_string(), "https://pool.example.com");
        }
        let below = ServiceUrl::parse("https://example.com/team/pool/").unwrap();
        assert_eq!(below.openai_base(), "https://example.com/team/pool/v1");
    }

    #[test]
    fn what_is_no_service_is_refused() {
        use ServiceUrlError::{Extra, Scheme, Syntax};
        let bad = [
            ("", Syntax),
            ("pool.example.com", Syntax),
            ("localhost:8787", Scheme),
            ("ftp://example.com", Scheme),
            ("https://admin:secret@example.com", Extra),
            ("https://example.com/?token=x", Extra),
        ];
        for (text, error) in bad {
            assert_eq!(ServiceUrl::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn plain_http_is_private_on_loopback_only() {
        for text in
            ["https://e.com", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:8", "http://localhost"]
        {
            assert!(ServiceUrl::parse(text).unwrap().is_private(), "{text}");
        }
        for text in ["http://e.com", "http://10.0.0.1", "http://localhost.e.com", "http://127.0.0.1.e.com"] {
            assert!(!ServiceUrl::parse(text).unwrap().is_private(), "{text}");
        }
    }

    #[test]
    fn a_name_stays_one_segment_of_the_path() {
        let url = ServiceUrl::parse("http://127.0.0.1:8787/base").unwrap();
        let keys = url.admin(&["pools", "my pool/ä?#%", "keys"]);
        assert_eq!(
            keys.as_str(),
            "http://127.0.0.1:8787/base/admin/v1/pools/my%20pool%2F%C3%A4%3F%23%25/keys"
        );
    }
}

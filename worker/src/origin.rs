//! Trusted addresses: where Gemini is called, and the origin under which browsers reach the
//! service.
//!
//! # Invariants
//! - No Gemini key is sent to a host that the operator has not named.
//! - No page of another origin counts as the service's own.

use url::Url;

/// Google's own address for Gemini.
pub const GEMINI: &str = "https://generativelanguage.googleapis.com";

/// The reason why Gemini is not called at an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It is not a usable URL.
    #[error("GEMINI_BASE_URL is not an http or https URL without credentials and without a query")]
    Malformed,
    /// The host is not named in the list of allowed hosts, and would receive every Gemini key.
    #[error(
        "GEMINI_BASE_URL leads to {0}, which would get every Gemini key: name it in GEMINI_ALLOWED_HOSTS too"
    )]
    NotAllowed(String),
}

/// Parses the base URL of Gemini. Allowed are Google's host over https, this machine, and the hosts
/// in `allowed`: a comma-separated list of exact names without ports.
pub fn base_url(text: &str, allowed: Option<&str>) -> Result<Url, BaseUrlError> {
    let url = Url::parse(text).map_err(|_| BaseUrlError::Malformed)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let host = url.host_str().filter(|_| is_plain).ok_or(BaseUrlError::Malformed)?;
    let is_googles = Url::parse(GEMINI).is_ok_and(|gemini| gemini.origin() == url.origin());
    let is_named = allowed.unwrap_or_default().split(',').any(|name| name.trim().eq_ignore_ascii_case(host));
    if is_googles || is_named || is_loopback(&url) {
        Ok(url)
    } else {
        Err(BaseUrlError::NotAllowed(host.to_owned()))
    }
}

/// An origin: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Url);

impl Origin {
    /// Returns the origin of a URL.
    #[must_use]
    pub fn of(url: Url) -> Option<Self> {
        matches!(url.scheme(), "http" | "https").then_some(Self(url))
    }

    /// Returns the origin of a server without TLS, from the `Host` header. For any name other than
    /// this machine's a TLS proxy must be in front, because admin sessions are sent only over TLS.
    #[must_use]
    pub fn behind_tls(host: &str) -> Option<Self> {
        // Browsers send a `Host` without user, path or escapes, with names in Punycode.
        let is_host = |c: u8| c.is_ascii_alphanumeric() || b"-._:[]".contains(&c);
        if !host.bytes().all(is_host) {
            return None;
        }
        let at = |scheme| Url::parse(&format!("{scheme}://{host}")).ok().map(Self);
        at("http").filter(Self::is_plain_loopback).or_else(|| at("https"))
    }

    /// Returns `true` for plain http on the browser's own machine.
    #[must_use]
    pub fn is_plain_loopback(&self) -> bool {
        self.0.scheme() == "http" && is_loopback(&self.0)
    }

    /// Returns `true` if an `Origin` header names this origin.
    #[must_use]
    pub fn is(&self, header: &str) -> bool {
        self.0.origin().ascii_serialization() == header
    }
}

/// Returns `true` if a URL leads to this machine.
fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(pool_shared::is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_to_google_to_this_machine_and_to_hosts_that_were_named() {
        for url in [
            GEMINI,
            "https://generativelanguage.googleapis.com/",
            "http://127.0.0.1:9/x",
            "http://localhost:1",
            "http://[::1]:1",
        ] {
            assert!(base_url(url, None).is_ok(), "{url}");
        }
        let allowed = Some("proxy.internal, Other.Example");
        for url in ["http://proxy.internal:8080/gemini", "https://other.example"] {
            assert!(base_url(url, allowed).is_ok(), "{url}");
            assert!(matches!(base_url(url, None), Err(BaseUrlError::NotAllowed(_))), "{url}");
        }
        for url in [
            "https://evil.proxy.internal",
            "https://proxy.internal.evil.example",
            "http://generativelanguage.googleapis.com",
            "https://generativelanguage.googleapis.com.evil.example",
            "https://generativelanguage.googleapis.com:8443",
            "https://localhost.evil.example",
        ] {
            assert!(matches!(base_url(url, allowed), Err(BaseUrlError::NotAllowed(_))), "{url}");
        }
        for url in [
            "",
            "gemini",
            "ftp://localhost",
            "http://user@localhost",
            "http://localhost/?key=1",
            "http://localhost/#x",
        ] {
            assert_eq!(base_url(url, allowed), Err(BaseUrlError::Malformed), "{url}");
        }
    }

    #[test]
    fn an_origin_is_itself_and_nothing_like_it() {
        let own = Origin::behind_tls("pool.example").unwrap();
        assert!(own.is("https://pool.example") && !own.is_plain_loopback());
        for other in [
            "http://pool.example",
            "https://pool.example:8443",
            "https://pool.example.evil.example",
            "null",
            "",
        ] {
            assert!(!own.is(other), "{other}");
        }
        for host in ["localhost:8787", "127.0.0.1:8787", "[::1]:8787"] {
            let own = Origin::behind_tls(host).unwrap();
            assert!(own.is_plain_loopback() && own.is(&format!("http://{host}")), "{host}");
        }
        assert!(Origin::behind_tls("Pool.Example").unwrap().is("https://pool.example"));
        for host in
            ["not a host", "user@pool.example", "pool.example/x", "Pool%e2.example", "Po\u{f6}l.example", ""]
        {
            assert_eq!(Origin::behind_tls(host), None, "{host}");
        }
    }
}

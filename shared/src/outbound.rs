//! How a native program calls other machines: through which proxy, and which certificates it trusts.
//!
//! `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name the HTTP or SOCKS proxy, `SSL_CERT_FILE` the certificates.
//! An empty variable counts as unset. What stays on this machine never goes through a proxy: it would get Gemini keys,
//! tokens and passwords in clear text.

mod certificates;

use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, ClientBuilder, Url};

pub use certificates::CertificateFileError;

use crate::stays_on_this_machine;

/// How long a name may take to be looked up. One that only the proxy can look up is not this machine's.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How a URL is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Directly: the environment names no proxy for it.
    Direct,
    /// Directly, though the environment names this proxy: it stays on this machine.
    PastProxy(String),
    /// Through this proxy, shown without its credentials.
    Through(String),
}

impl Route {
    /// Returns how a URL is reached from here.
    #[must_use]
    pub fn to(url: &Url) -> Self {
        let proxy = url.as_str().parse().ok().and_then(|uri| {
            let intercept = Matcher::from_system().intercept(&uri)?;
            let proxy = intercept.uri();
            Some(format!("{}://{}", proxy.scheme_str().unwrap_or("http"), proxy.authority()?))
        });
        match proxy {
            None => Self::Direct,
            Some(proxy) if stays_on_this_machine(url.host_str().unwrap_or_default(), look_up) => {
                Self::PastProxy(proxy)
            }
            Some(proxy) => Self::Through(proxy),
        }
    }

    /// Returns the proxy that is used; `None` if none is.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        match self {
            Self::Through(proxy) => Some(proxy),
            Self::Direct | Self::PastProxy(_) => None,
        }
    }
}

/// No client can be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificates to trust cannot be read.
    #[error(transparent)]
    Certificates(#[from] CertificateFileError),
    /// The library has rejected.
    #[error(transparent)]
    Library(#[from] reqwest::Error),
}

/// Builds a client for URLs that are all reached by one route. It uses the proxy of the environment if, and only if, the
/// route has one, and trusts the certificates of `SSL_CERT_FILE`, if that is set.
///
/// # Errors
/// The certificates cannot be read, or the library rejects.
pub fn build(builder: ClientBuilder, route: &Route) -> Result<Client, ClientError> {
    let builder = if route.proxy().is_some() { builder } else { builder.no_proxy() };
    Ok(certificates::trust(builder)?.build()?)
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct => f.write_str("direct"),
            Self::PastProxy(proxy) => write!(f, "direct, not through {proxy}: it is this machine"),
            Self::Through(proxy) => write!(f, "through the proxy {proxy}"),
        }
    }
}

fn look_up(name: &str) -> Vec<IpAddr> {
    let (sender, found) = mpsc::channel();
    let name = name.to_owned();
    let looking = thread::Builder::new().spawn(move || {
        let addresses = (name.as_str(), 0).to_socket_addrs().into_iter().flatten();
        // Nobody listens any more if it took too long.
        let _ = sender.send(addresses.map(|address| address.ip()).collect());
    });
    looking.ok().and_then(|_| found.recv_timeout(LOOKUP_TIMEOUT).ok()).unwrap_or_default()
}

//! The HTTP or SOCKS proxy on the way to a service, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` have it, and
//! never for what stays on this machine: a proxy would get tokens and passwords in clear text.

use std::{
    fmt,
    net::{IpAddr, ToSocketAddrs},
    sync::mpsc,
    thread,
    time::Duration,
};

use hyper_util::client::proxy::matcher::Matcher;
use pool_shared::stays_on_this_machine;
use url::Url;

/// How long a name may take to be looked up. One that only the proxy can look up is not this machine's.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// How a URL is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Directly, as nothing names a proxy for it.
    Direct,
    /// Directly, though the environment names this proxy: it stays on this machine.
    PastProxy(String),
    /// Through this proxy, shown without its credentials.
    Through(String),
}

impl Route {
    /// How a URL is reached from here.
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

    /// Whether a proxy is used.
    pub fn is_through_proxy(&self) -> bool {
        matches!(self, Self::Through(_))
    }
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

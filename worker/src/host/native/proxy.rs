//! The HTTP or SOCKS proxy on the way out, as `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` have it, and never
//! for what stays on this machine: a proxy would get a Gemini key in clear text.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use pool_shared::stays_on_this_machine;
use reqwest::{ClientBuilder, Url};

/// How long a name may take to be looked up. One that only the proxy can look up is not this machine's.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the proxy through which a URL is called, without its credentials; `None` if it is called directly.
#[must_use]
pub fn proxy_for(url: &Url) -> Option<String> {
    let intercept = Matcher::from_system().intercept(&url.as_str().parse().ok()?)?;
    if stays_on_this_machine(url.host_str()?, look_up) {
        return None;
    }
    let proxy = intercept.uri();
    Some(format!("{}://{}", proxy.scheme_str().unwrap_or("http"), proxy.authority()?))
}

/// Makes the clients of a builder call `url`, and nothing else, as [`proxy_for`] tells.
pub(super) fn with_proxy_for(builder: ClientBuilder, url: &Url) -> ClientBuilder {
    if proxy_for(url).is_some() { builder } else { builder.no_proxy() }
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

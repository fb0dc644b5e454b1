//! Where a request comes from, when there are proxies before the server.
//!
//! In: the connection's address, the request's headers, and the networks of the proxies that the operator trusts. Out:
//! the client's address, or that nobody knows it. What must never happen here: a client that chooses its address.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

use crate::cidr;
use crate::platform::CLIENT_ADDRESS;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The networks of proxies that tell the truth about whom they pass on; none of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text is no list of networks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("TRUSTED_PROXIES: '{0}' is no network such as 10.0.0.0/8")]
pub struct TrustedProxiesError(String);

impl FromStr for TrustedProxies {
    type Err = TrustedProxiesError;

    /// Networks or addresses with commas: `10.0.0.0/8, ::1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |part: &str| cidr::parse(part).ok_or_else(|| TrustedProxiesError(part.to_owned()));
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Headers by which a proxy tells whom it passes on.
const FORWARDING: [HeaderName; 8] = [
    X_FORWARDED_FOR,
    FORWARDED,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static(CLIENT_ADDRESS),
];

impl TrustedProxies {
    /// Returns the peer, if it looks like a proxy of the operator's that is not trusted: it is on this machine or in a private
    /// network and passes others' requests on. All its clients then share its address.
    pub(super) fn untrusted(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        let passes_on = || FORWARDING.iter().any(|name| headers.contains_key(name));
        (is_near(peer) && !self.trusts(peer) && passes_on()).then_some(peer)
    }

    /// Who a request is from: the last one on its way that is no trusted proxy. `X-Forwarded-For` and `Forwarded` are
    /// believed as far as trusted proxies wrote them. `None`: they contradict each other, or name somebody by something
    /// else than an address. A proxy appends to one of the two and passes on the other as the client wrote it, so that
    /// a request with both says nothing.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Some(peer);
        }
        let on_the_way = match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
            (false, false) => return Some(peer),
            (true, true) => return None,
            (true, false) => values(headers, &X_FORWARDED_FOR).map(Some).collect(),
            (false, true) => values(headers, &FORWARDED).map(forwarded_for).collect::<Vec<_>>(),
        };
        let mut nearest = peer;
        for named in on_the_way.into_iter().rev() {
            nearest = address(named?)?;
            if !self.trusts(nearest) {
                break;
            }
        }
        Some(nearest)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Returns `true` if an address is of this machine or of a private network: RFC 1918, RFC 6598, RFC 4193, or link-local.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && second & 0b1100_0000 == 64;
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Returns the elements of a list that may be spread over several headers; what is not ASCII is an element that says nothing.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

/// Returns the `for` of an element of `Forwarded`: `for="[2001:db8::1]:4711";proto=https`.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    Some(value.trim().trim_matches('"'))
}

/// Returns an address with or without brackets and port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// Whom a server behind `10.0.0.0/8` and `fd00::/8` takes a request to be from.
    fn from(peer: &str, headers: &[(&'static str, &str)]) -> Option<String> {
        let trusted: TrustedProxies = "10.0.0.0/8, fd00::/8".parse().unwrap();
        let header =
            |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let headers = headers.iter().map(header).collect();
        trusted.client(peer.parse().unwrap(), &headers).map(|address| address.to_string())
    }

    #[test]
    fn a_proxy_nearby_that_is_not_trusted_is_noticed() {
        let trusted: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        let noticed = |peer: &str, header: &'static str| {
            let headers =
                [(HeaderName::from_static(header), "192.0.2.7".parse().unwrap())].into_iter().collect();
            trusted.untrusted(peer.parse().unwrap(), &headers).map(|address| address.to_string())
        };
        for header in ["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "x-forwarded-proto"] {
            for (peer, expected) in [
                ("127.0.0.1", Some("127.0.0.1")),
                ("::1", Some("::1")),
                ("::ffff:172.17.0.1", Some("172.17.0.1")),
                ("192.168.1.1", Some("192.168.1.1")),
                ("100.64.0.1", Some("100.64.0.1")),
                ("169.254.1.1", Some("169.254.1.1")),
                ("fd00::1", Some("fd00::1")),
                ("fe80::1", Some("fe80::1")),
                // It is trusted, or anybody.
                ("10.0.0.1", None),
                ("192.0.2.1", None),
                ("100.128.0.1", None),
                ("2001:db8::1", None),
            ] {
                assert_eq!(noticed(peer, header).as_deref(), expected, "{peer} {header}");
            }
        }
        assert_eq!(noticed("127.0.0.1", "user-agent"), None);
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_what_they_wrote() {
        let forwarded = "x-forwarded-for";
        for (peer, header, expected) in [
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            (PROXY, "198.51.100.7", "198.51.100.7"),
            ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("fd00::1", "2001:db8::1", "2001:db8::1"),
            // The client wrote the first one itself.
            (PROXY, "127.0.0.1, 198.51.100.7", "198.51.100.7"),
            (PROXY, "127.0.0.1, 198.51.100.7, 10.1.1.1, 10.2.2.2", "198.51.100.7"),
            (PROXY, "garbage, 198.51.100.7", "198.51.100.7"),
            (PROXY, "198.51.100.7:4711", "198.51.100.7"),
            (PROXY, "[2001:db8::1]:4711", "2001:db8::1"),
            (PROXY, "[2001:db8::1]", "2001:db8::1"),
            (PROXY, "::ffff:198.51.100.7", "198.51.100.7"),
            // Everybody on the way is trusted.
            (PROXY, "10.3.3.3, 10.1.1.1", "10.3.3.3"),
        ] {
            assert_eq!(from(peer, &[(forwarded, header)]).as_deref(), Some(expected), "{peer} {header}");
        }
        for unknown in ["", "unknown", "198.51.100.7, garbage", "198.51.100.7,"] {
            assert_eq!(from(PROXY, &[(forwarded, unknown)]), None, "{unknown}");
        }
        let two = [(forwarded, "127.0.0.1"), (forwarded, "198.51.100.7, 10.1.1.1")];
        assert_eq!(from(PROXY, &two).as_deref(), Some("198.51.100.7"));
        assert_eq!(from(PROXY, &[]).as_deref(), Some(PROXY));
    }

    #[test]
    fn the_standard_header_is_read_and_both_at_once_say_nothing() {
        for (header, expected) in [
            ("for=198.51.100.7", Some("198.51.100.7")),
            ("for=127.0.0.1, For=\"198.51.100.7:80\";proto=https;by=10.0.0.1", Some("198.51.100.7")),
            ("for=\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("for=198.51.100.7, for=10.1.1.1", Some("198.51.100.7")),
            ("for=_hidden", None),
            ("for=unknown", None),
            ("proto=https", None),
        ] {
            assert_eq!(from(PROXY, &[("forwarded", header)]).as_deref(), expected, "{header}");
        }
        let both = [("forwarded", "for=198.51.100.7"), ("x-forwarded-for", "127.0.0.1")];
        assert_eq!(from(PROXY, &both), None);
        assert_eq!(from("192.0.2.1", &both).as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn nobody_is_trusted_by_default_and_a_slip_is_told() {
        let headers = [(X_FORWARDED_FOR, "198.51.100.7".parse().unwrap())].into_iter().collect();
        for trusted in [TrustedProxies::default(), "".parse().unwrap()] {
            assert_eq!(trusted.client(PROXY.parse().unwrap(), &headers), PROXY.parse().ok());
        }
        let error = "10.0.0.0/8,nginx".parse::<TrustedProxies>().unwrap_err().to_string();
        assert_eq!(error, "TRUSTED_PROXIES: 'nginx' is no network such as 10.0.0.0/8");
    }
}

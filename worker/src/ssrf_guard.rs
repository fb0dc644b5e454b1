//! SSRF guard: decides which URLs and addresses the service may fetch for a client.
//!
//! It checks URLs that a client sent or a server redirected to, and the addresses that names
//! resolve to. It is pure: it resolves and connects to nothing.
//!
//! # Invariants
//!
//! - A client never reaches, through the service, what only the service's own network can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pool_shared::FetchMedia;
use url::{Host, Url};

/// Maximum length of a fetched URL, in bytes.
const MAX_URL_LENGTH: usize = 8 * 1024;

/// The reason why a URL is not fetched. The texts are for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockedUrl {
    /// It is not a URL, or its host is missing or not ASCII (`xn--bcher-kva.example` is): the
    /// tables for that are left out of the Worker.
    #[error("it is not a URL with an ASCII host")]
    Malformed,
    /// Unencrypted responses could be read and changed on the way.
    #[error("only https URLs are fetched")]
    Scheme,
    /// Credentials must neither reach a model nor be sent on behalf of an untrusted client.
    #[error("URLs with a user name or password are not fetched")]
    Credentials,
    /// Other ports rarely serve the web.
    #[error("only port 443 is allowed")]
    Port,
    /// It is not on the public internet.
    #[error("its host is not on the public internet")]
    Private,
    /// The pool has a list of hosts that does not include it.
    #[error("its host is not on the pool's allowlist")]
    NotListed,
}

/// Parses a URL to fetch. [`Url`] normalises every notation of an address (`0x7f.1` and
/// `2130706433` are `127.0.0.1`). The host checks resolved addresses with [`is_public`] when it
/// connects.
pub fn guard(url: &str, hosts: &FetchMedia) -> Result<Url, BlockedUrl> {
    guard_parsed(parse(url)?, |host| hosts.allows(host))
}

/// Parses a URL for Gemini to fetch, under the same rules.
pub fn guard_for_gemini(url: &str, hosts: &FetchMedia) -> Result<Url, BlockedUrl> {
    guard_parsed(parse(url)?, |host| hosts.leaves_to_gemini(host))
}

fn parse(url: &str) -> Result<Url, BlockedUrl> {
    if url.len() > MAX_URL_LENGTH {
        return Err(BlockedUrl::Malformed);
    }
    Url::parse(url).map_err(|_| BlockedUrl::Malformed)
}

/// Resolves a redirect against the requested URL, and checks it.
pub fn guard_redirect(from: &Url, to: &str, hosts: &FetchMedia) -> Result<Url, BlockedUrl> {
    if to.len() > MAX_URL_LENGTH {
        return Err(BlockedUrl::Malformed);
    }
    guard_parsed(from.join(to).map_err(|_| BlockedUrl::Malformed)?, |host| hosts.allows(host))
}

fn guard_parsed(mut url: Url, is_listed: impl Fn(&str) -> bool) -> Result<Url, BlockedUrl> {
    if url.scheme() != "https" {
        return Err(BlockedUrl::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(BlockedUrl::Credentials);
    }
    // `Url` drops the default port of the scheme.
    if url.port().is_some() {
        return Err(BlockedUrl::Port);
    }
    let public = match url.host().ok_or(BlockedUrl::Malformed)? {
        Host::Domain(name) => is_public_name(name),
        Host::Ipv4(address) => is_public(address.into()),
        Host::Ipv6(address) => is_public(address.into()),
    };
    if !public {
        return Err(BlockedUrl::Private);
    }
    if !url.host_str().is_some_and(|host| is_listed(host.trim_end_matches('.'))) {
        return Err(BlockedUrl::NotListed);
    }
    url.set_fragment(None);
    Ok(url)
}

/// Private-use top-level names (RFC 6761, RFC 6762, RFC 8375, ICANN's `.internal`).
const PRIVATE_ENDINGS: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ends =
        |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !PRIVATE_ENDINGS.iter().any(ends)
}

/// Non-public IPv4: the IANA special-purpose registry, multicast, and reserved addresses.
const SPECIAL_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The only global unicast block of IPv6.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Non-public parts of it: protocol assignments, documentation, and 6to4, which leads to any IPv4
/// address.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];
/// Addresses that embed an IPv4 address in their last 32 bits: IPv4-mapped, and NAT64 (RFC 6052).
const EMBEDDING_V6: [(Ipv6Addr, u32); 2] =
    [(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96)];

/// Returns `true` if an address is one of a host on the public internet: not private, link-local,
/// loopback, carrier-grade NAT, multicast or reserved, and no tunnel to such an address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|range| in_v4(address, *range)),
        IpAddr::V6(address) if EMBEDDING_V6.iter().any(|range| in_v6(address, *range)) => {
            let [.., a, b, c, d] = address.octets();
            is_public(Ipv4Addr::new(a, b, c, d).into())
        }
        IpAddr::V6(address) => {
            in_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|range| in_v6(address, *range))
        }
    }
}

fn in_v4(address: Ipv4Addr, (network, length): (Ipv4Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

fn in_v6(address: Ipv6Addr, (network, length): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(url: &str) -> Result<Url, BlockedUrl> {
        guard(url, &FetchMedia::Switch(true))
    }

    #[test]
    fn public_urls_pass() {
        for (url, read) in [
            ("https://example.com/a.png", "https://example.com/a.png"),
            ("HTTPS://Example.COM:443/a.png?b=c#d", "https://example.com/a.png?b=c"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
            ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
            ("https://172.15.255.255/", "https://172.15.255.255/"),
            ("https://notlocalhost.example/", "https://notlocalhost.example/"),
        ] {
            assert_eq!(any(url).as_ref().map(Url::as_str), Ok(read), "{url}");
        }
    }

    #[test]
    fn everything_else_does_not() {
        for (url, denied) in [
            ("http://example.com/", BlockedUrl::Scheme),
            ("ftp://example.com/", BlockedUrl::Scheme),
            ("file:///etc/passwd", BlockedUrl::Scheme),
            ("data:image/png;base64,AAAA", BlockedUrl::Scheme),
            ("example.com/a.png", BlockedUrl::Malformed),
            ("https://", BlockedUrl::Malformed),
            ("https://1.2.3.4.5/", BlockedUrl::Malformed),
            ("https://bücher.example/", BlockedUrl::Malformed),
            ("https://Bücher.example/", BlockedUrl::Malformed),
            ("https://１２７.0.0.1/", BlockedUrl::Malformed),
            ("https://127。0。0。1/", BlockedUrl::Malformed),
            ("https://user@example.com/", BlockedUrl::Credentials),
            ("https://:password@example.com/", BlockedUrl::Credentials),
            ("https://example.com:8443/", BlockedUrl::Port),
            ("https://example.com:80/", BlockedUrl::Port),
            ("https://example.com:22/", BlockedUrl::Port),
        ] {
            assert_eq!(any(url), Err(denied), "{url}");
        }
        let long = format!("https://example.com/{}", "a".repeat(MAX_URL_LENGTH));
        assert_eq!(any(&long), Err(BlockedUrl::Malformed));
    }

    #[test]
    fn private_hosts_do_not_in_any_notation() {
        for host in [
            // This machine.
            "127.0.0.1",
            "127.1",
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "127.0.0.1.",
            "127.255.255.254",
            "0.0.0.0",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "localhost.localhost",
            // Cloud metadata services and other link-local addresses.
            "169.254.169.254",
            "0xa9fea9fe",
            "2852039166",
            "169.254.0.1",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
            "[2002:a9fe:a9fe::1]",
            "metadata.google.internal",
            "metadata.google.internal.",
            // Private networks.
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "[fc00::1]",
            "[fec0::1]",
            "[64:ff9b:1::1]",
            "intranet",
            "printer.local",
            "router.home.arpa",
            // Carrier-grade NAT, benchmarking, protocol assignments, documentation.
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "198.18.0.1",
            "198.19.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "[2001::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[100::1]",
            "[5f00::1]",
            // Multicast, broadcast and unspecified addresses.
            "224.0.0.1",
            "239.255.255.255",
            "[ff02::1]",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let url = format!("https://{host}/a.png");
            assert_eq!(any(&url), Err(BlockedUrl::Private), "{url} is {:?}", Url::parse(&url));
        }
    }

    #[test]
    fn borders_of_ranges_are_where_they_should_be() {
        for (address, public) in [
            ("9.255.255.255", true),
            ("11.0.0.0", true),
            ("100.63.255.255", true),
            ("100.128.0.0", true),
            ("172.32.0.0", true),
            ("192.0.1.0", true),
            ("223.255.255.255", true),
            ("2001:200::1", true),
            ("2001:1ff:ffff::1", false),
            ("3fff:1000::1", true),
            ("1fff::1", false),
            ("4000::1", false),
            ("::ffff:8.8.8.8", true),
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.0.0.1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn a_list_and_a_redirect_are_kept_to() {
        let hosts =
            FetchMedia::From(vec!["a.example".to_owned(), "*.b.example".to_owned(), "127.0.0.1".to_owned()]);
        let first = guard("https://a.example/x/y.png", &hosts).unwrap();
        assert_eq!(
            guard("https://a.example./y.png", &hosts).map(|url| url.path().to_owned()),
            Ok("/y.png".to_owned())
        );
        assert_eq!(guard("https://c.example/", &hosts), Err(BlockedUrl::NotListed));
        assert_eq!(
            guard("https://127.0.0.1/", &hosts),
            Err(BlockedUrl::Private),
            "a list opens nothing private"
        );
        for (to, result) in [
            ("z.png", Ok("https://a.example/x/z.png")),
            ("//www.b.example/z.png", Ok("https://www.b.example/z.png")),
            ("https://c.example/", Err(BlockedUrl::NotListed)),
            ("http://a.example/", Err(BlockedUrl::Scheme)),
            ("https://169.254.169.254/latest", Err(BlockedUrl::Private)),
            ("https://a.example:8080/", Err(BlockedUrl::Port)),
            ("https://", Err(BlockedUrl::Malformed)),
        ] {
            let read = guard_redirect(&first, to, &hosts);
            assert_eq!(read.as_ref().map(Url::as_str), result.as_ref().copied(), "{to}");
        }
    }
}

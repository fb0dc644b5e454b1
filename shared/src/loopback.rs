//! Which hosts are this machine.

use std::net::{IpAddr, Ipv6Addr};

/// Returns `true` if a host, as it is in a URL, is this machine by its very name.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    address(host).map_or_else(|| is_localhost(host), is_loopback_address)
}

/// Returns `true` if a connection to a host does not leave this machine. Names are looked up by `look_up`, addresses and
/// `localhost` are not.
pub fn stays_on_this_machine(host: &str, look_up: impl FnOnce(&str) -> Vec<IpAddr>) -> bool {
    match address(host) {
        // The unspecified address is taken for this machine by every system.
        Some(address) => is_loopback_address(address) || address.to_canonical().is_unspecified(),
        None => is_localhost(host) || is_custom(host) || look_up(host).into_iter().any(is_loopback_address),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => inside.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Names that hosts files of Unix systems give to this machine, whether this system's does or not.
fn is_custom(name: &str) -> bool {
    let names =
        ["ip6-localhost", "ip6-loopback", "localhost6", "localhost.localdomain", "localhost6.localdomain6"];
    let name = name.strip_suffix('.').unwrap_or(name);
    names.iter().any(|custom| name.eq_ignore_ascii_case(custom))
}

/// RFC 6761, section 6.3.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_every_name_of_it() {
        let nowhere = |_: &str| Vec::new();
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost.",
            "pool.localhost",
        ] {
            assert!(is_loopback(host) && stays_on_this_machine(host, nowhere), "{host}");
        }
        for host in ["0.0.0.0", "[::]", "ip6-localhost", "localhost.localdomain", "LOCALHOST6."] {
            assert!(!is_loopback(host) && stays_on_this_machine(host, nowhere), "{host}");
        }
        for host in ["10.0.0.1", "[fe80::1]", "localhost.example", "notlocalhost", "example.com", ""] {
            assert!(!is_loopback(host) && !stays_on_this_machine(host, nowhere), "{host}");
        }
        let here = |_: &str| vec!["10.0.0.1".parse().unwrap(), "127.0.1.1".parse().unwrap()];
        assert!(stays_on_this_machine("my-laptop", here) && !is_loopback("my-laptop"));
        assert!(!stays_on_this_machine("10.0.0.1", here), "an address is not looked up");
    }
}

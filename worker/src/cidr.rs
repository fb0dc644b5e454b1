//! Parser for networks in CIDR notation and for single addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// Parses a network, such as `192.0.2.0/24`, or an address, which is a network of one.
pub(crate) fn parse(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        let written = |text| parse(text).map(|network| network.to_string());
        assert_eq!(written("192.0.2.0/24").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(written("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(written("2001:db8::1").as_deref(), Some("2001:db8::1/128"));
        for none in ["", "192.0.2", "192.0.2.0/33", "example.com"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}

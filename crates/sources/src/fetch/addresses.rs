//! Where requests may go: a pure decision about one address.
//!
//! A source is a stranger's word, and this machine stands where strangers do not: next to services that trust every client who
//! reaches them. So only addresses of the public Internet are taken, told by IANA's registries of special addresses
//! (RFC 6890 and what came after), and whatever the operator adds.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressRefused {
    /// Not of the public Internet, and not in a network that the operator allows.
    #[error("its address is not public, and in no network that the operator allows")]
    NotPublic,
    /// Where clouds hand credentials to their machines.
    #[error("its address is a cloud's metadata service")]
    Metadata,
    /// An IPv6 address that stands for an IPv4 address.
    #[error("its address is an IPv6 address that contains an IPv4 address")]
    Disguised,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const NOT_PUBLIC_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
];

/// All that is public of IPv6 lies in here, ...
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// ... but for these.
const NOT_PUBLIC_V6: &[Ipv6Net] = &[
    v6(0x2001, 0, 0, 23),     // protocol assignments, Teredo among them
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x3fff, 0, 0, 20),     // documentation
];

const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), // most clouds
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),   // AWS, containers
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),  // AWS, pods
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), // Alibaba
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),     // Oracle
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),   // Azure, in a public range
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), // AWS
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)), // AWS, pods
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), // Google
];

/// Whether a request may go to this address.
///
/// A metadata service needs to be allowed by itself (`/32`, `/128`): a network that happens to hold it is not enough.
/// A disguised address needs its IPv6 network to be allowed, and what it stands for to be allowed, too.
pub(crate) fn check(address: IpAddr, allowed: &[IpNet]) -> Result<(), AddressRefused> {
    let named = |address: &IpAddr| allowed.iter().any(|network| network.contains(address));
    let named_alone = |address: &IpAddr| allowed.iter().any(|network| *network == IpNet::from(*address));
    if METADATA.contains(&address) && !named_alone(&address) {
        return Err(AddressRefused::Metadata);
    }
    if let IpAddr::V6(disguise) = address
        && let Some(inner) = embedded(disguise)
    {
        return if named(&address) { check(IpAddr::V4(inner), allowed) } else { Err(AddressRefused::Disguised) };
    }
    let public = match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    };
    if public || named(&address) { Ok(()) } else { Err(AddressRefused::NotPublic) }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(high, low),
        (0, 0, 0, 0, 0, 0) if high != 0 => v4(high, low),
        (0x64, 0xff9b, 1, _, _, _) => v4(high, low),
        (0x2002, high, low, _, _, _) => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decide(address: &str, allowed: &[&str]) -> Result<(), AddressRefused> {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().expect("a network")).collect();
        check(address.parse().expect("an address"), &allowed)
    }

    #[test]
    fn only_the_public_internet_by_default() {
        for public in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert_eq!(decide(public, &[]), Ok(()), "{public}");
        }
        for inner in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ] {
            assert_eq!(decide(inner, &[]), Err(AddressRefused::NotPublic), "{inner}");
        }
    }

    #[test]
    fn disguises_are_seen_through() {
        for disguise in [
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "::ffff:0:127.0.0.1",
        ] {
            assert_eq!(decide(disguise, &[]), Err(AddressRefused::Disguised), "{disguise}");
        }
        assert_eq!(decide("64:ff9b::808:808", &["64:ff9b::/96"]), Ok(()));
        assert_eq!(decide("64:ff9b::7f00:1", &["64:ff9b::/96"]), Err(AddressRefused::NotPublic));
        assert_eq!(decide("64:ff9b::a9fe:a9fe", &["64:ff9b::/96"]), Err(AddressRefused::Metadata));
    }

    #[test]
    fn the_operator_can_allow_networks_and_metadata_only_by_name() {
        assert_eq!(decide("10.1.2.3", &["10.1.0.0/16"]), Ok(()));
        assert_eq!(decide("10.2.2.3", &["10.1.0.0/16"]), Err(AddressRefused::NotPublic));
        for metadata in ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"] {
            assert_eq!(decide(metadata, &["0.0.0.0/0", "::/0"]), Err(AddressRefused::Metadata), "{metadata}");
        }
        assert_eq!(decide("169.254.169.254", &["169.254.169.254/32"]), Ok(()));
    }

    proptest! {
        /// Another list of the same registries, the standard library's, agrees where it has an opinion.
        #[test]
        fn agrees_with_the_standard_library(bits: u32, wide: u128) {
            let address = Ipv4Addr::from(bits);
            if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_documentation() || address.is_broadcast() || address.is_unspecified() {
                prop_assert!(check(address.into(), &[]).is_err());
            }
            let address = Ipv6Addr::from(wide);
            if address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast() || address.is_loopback() {
                prop_assert!(check(address.into(), &[]).is_err());
            }
        }

        #[test]
        fn what_stands_for_a_refused_address_is_refused(bits: u32) {
            let inner = Ipv4Addr::from(bits);
            prop_assert!(check(IpAddr::V6(inner.to_ipv6_mapped()), &[]).is_err());
            let allowed = ["::ffff:0:0/96".parse::<IpNet>().expect("a network")];
            let (plain, mapped) = (check(inner.into(), &[]), check(IpAddr::V6(inner.to_ipv6_mapped()), &allowed));
            prop_assert_eq!(plain, mapped);
        }
    }
}

//! Which addresses may do what.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why a text is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a block of addresses such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    /// The blocks that are never routed over the internet.
    pub fn private() -> Vec<Self> {
        let v4 = |a, b, bits| Self { address: IpAddr::from([a, b, 0, 0]), bits };
        let unique_local = Self { address: IpAddr::from([0xfc00, 0, 0, 0, 0, 0, 0, 0]), bits: 7 };
        vec![v4(10, 0, 8), v4(172, 16, 12), v4(192, 168, 16), unique_local]
    }

    /// Whether an address that is never routed over the internet belongs to the block.
    pub fn holds_private(&self) -> bool {
        // Of two blocks, one holds the other, or they have nothing in common.
        Self::private().iter().any(|block| block.contains(self.address) || self.contains(block.address))
    }

    /// Whether `address` belongs to the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(error)?;
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = bits.parse().map_err(|_| error())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        if bits <= most { Ok(Self { address, bits }) } else { Err(error()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_their_addresses() {
        for (block, address, want) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("1.2.3.4/32", "1.2.3.4", true),
            ("1.2.3.4/32", "1.2.3.5", false),
            ("fc00::/7", "fd12::1", true),
            ("fc00::/7", "fe80::1", false),
            ("::/0", "1.2.3.4", false),
        ] {
            let block: Network = block.parse().unwrap();
            assert_eq!(block.contains(address.parse().unwrap()), want, "{block} {address}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1", ""] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError(text.to_owned())));
        }
        assert!(Network::private().iter().any(|block| block.contains(IpAddr::from([172, 31, 0, 1]))));
        assert!(!Network::private().iter().any(|block| block.contains(IpAddr::from([172, 32, 0, 1]))));
        for (block, want) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3/32", true),
            ("0.0.0.0/0", true),
            ("172.0.0.0/8", true),
            ("::/0", true),
            ("8.8.8.0/24", false),
            ("fe80::/10", false),
        ] {
            assert_eq!(block.parse::<Network>().unwrap().holds_private(), want, "{block}");
        }
    }
}

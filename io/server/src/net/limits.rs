//! How many connections there may be: from one address, and in all (features SB-01, SB-02).

use std::collections::HashMap;
use std::net::IpAddr;

use thiserror::Error;

/// The limits of `maxClientCnxns` and `maxCnxns`; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// From one address.
    pub per_address: u32,
    /// In all.
    pub total: u32,
}

/// Why a connection was closed right after it was accepted. The texts are Apache's log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// `maxClientCnxns`.
    #[error("Too many connections from /{address} - max is {max}")]
    FromAddress {
        /// Whose connections they are.
        address: IpAddr,
        /// The limit.
        max: u32,
    },
    /// `maxCnxns`.
    #[error("Too many connections {count} - max is {max}")]
    InTotal {
        /// How many there are.
        count: u32,
        /// The limit.
        max: u32,
    },
}

/// Counts the connections of each address.
///
/// Invariant: the sum over the addresses is the number of connections let in and not released.
#[derive(Debug)]
pub struct AddressLimits {
    admission: Admission,
    counts: HashMap<IpAddr, u32>,
    total: u32,
}

impl AddressLimits {
    /// With no connection yet.
    #[must_use]
    pub fn new(admission: Admission) -> Self {
        Self {
            admission,
            counts: HashMap::new(),
            total: 0,
        }
    }

    /// Counts a connection in, or says which limit it meets.
    pub fn admit(&mut self, address: IpAddr) -> Result<(), Refused> {
        let Admission { per_address, total } = self.admission;
        if total > 0 && self.total >= total {
            return Err(Refused::InTotal {
                count: self.total,
                max: total,
            });
        }
        let address = address.to_canonical();
        let count = self.counts.entry(address).or_insert(0);
        if per_address > 0 && *count >= per_address {
            return Err(Refused::FromAddress {
                address,
                max: per_address,
            });
        }
        *count += 1;
        self.total += 1;
        Ok(())
    }

    /// Counts a connection out that had been let in.
    pub fn release(&mut self, address: IpAddr) {
        let address = address.to_canonical();
        let Some(count) = self.counts.get_mut(&address) else {
            debug_assert!(false, "a connection from {address} was never let in");
            return;
        };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.counts.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 7));

    #[test]
    fn an_address_gets_as_many_as_its_limit_and_one_more_when_one_closes() {
        let mut limits = AddressLimits::new(Admission {
            per_address: 2,
            total: 0,
        });
        assert_eq!(
            [limits.admit(HERE), limits.admit(HERE), limits.admit(THERE)],
            [Ok(()); 3]
        );
        let refused = limits.admit(HERE).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Too many connections from /127.0.0.1 - max is 2"
        );
        limits.release(HERE);
        assert_eq!(limits.admit(HERE), Ok(()));
    }

    #[test]
    fn the_total_counts_every_address() {
        let mut limits = AddressLimits::new(Admission {
            per_address: 0,
            total: 2,
        });
        assert_eq!([limits.admit(HERE), limits.admit(THERE)], [Ok(()); 2]);
        assert_eq!(
            limits.admit(THERE).unwrap_err().to_string(),
            "Too many connections 2 - max is 2"
        );
    }

    #[test]
    fn an_address_without_connections_costs_nothing() {
        let mut limits = AddressLimits::new(Admission {
            per_address: 1,
            total: 0,
        });
        limits.admit("::ffff:10.0.0.7".parse().unwrap()).unwrap();
        assert!(
            limits.admit(THERE).is_err(),
            "the mapped address is the same one"
        );
        limits.release(THERE);
        assert!(limits.counts.is_empty());
    }
}

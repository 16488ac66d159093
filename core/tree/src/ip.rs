//! Addresses of the ip scheme: an address, or an address and how many of its bits count.

/// What an ACL id of the ip scheme names.
pub(crate) struct Range {
    address: Address,
    bits: u32,
}

#[derive(Clone, Copy)]
enum Address {
    V4(u32),
    V6(u128),
}

impl Range {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = Address::parse(address)?;
        let all = match address {
            Address::V4(_) => 32,
            Address::V6(_) => 128,
        };
        let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
        (bits <= all).then_some(Self { address, bits })
    }

    /// Whether an address is in it. Different families never match.
    pub(crate) fn contains(&self, address: &str) -> bool {
        match (self.address, Address::parse(address)) {
            (Address::V4(ours), Some(Address::V4(theirs))) => {
                (ours ^ theirs).leading_zeros() >= self.bits
            }
            (Address::V6(ours), Some(Address::V6(theirs))) => {
                (ours ^ theirs).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            parse_v6(text).map(Self::V6)
        } else {
            parse_v4(text).map(Self::V4)
        }
    }
}

fn parse_v4(text: &str) -> Option<u32> {
    let mut address = 0;
    let mut parts = 0;
    for part in text.split('.') {
        address = address << 8 | u32::from(part.parse::<u8>().ok()?);
        parts += 1;
        if parts > 4 {
            return None;
        }
    }
    (parts == 4).then_some(address)
}

fn parse_v6(text: &str) -> Option<u128> {
    let Some((front, back)) = text.split_once("::") else {
        let (address, groups) = parse_groups(text)?;
        return (groups == 8).then_some(address);
    };
    let (front, front_groups) = parse_groups(front)?;
    let (back, back_groups) = parse_groups(back)?;
    if front_groups + back_groups >= 8 {
        return None;
    }
    let front = front.checked_shl(16 * (8 - front_groups)).unwrap_or(0);
    Some(front | back)
}

/// The value and the number of groups of up to four hex digits.
fn parse_groups(text: &str) -> Option<(u128, u32)> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let mut address = 0;
    let mut groups = 0;
    for group in text.split(':') {
        if group.len() > 4 || groups == 8 {
            return None;
        }
        address = address << 16 | u128::from(u16::from_str_radix(group, 16).ok()?);
        groups += 1;
    }
    Some((address, groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_prefixes_of_them_are_ranges() {
        let table = [
            ("127.0.0.1", true),
            ("10.0.0.0/0", true),
            ("10.0.0.0/32", true),
            ("10.0.0.0/33", false),
            ("10.0.0.0/-1", false),
            ("10.0.0.0/", false),
            ("10.0.0.0/8/8", false),
            ("256.0.0.1", false),
            ("1.2.3", false),
            ("1.2.3.4.5", false),
            ("1.2.3.", false),
            ("", false),
            ("host", false),
            ("::", true),
            ("::1", true),
            ("1::", true),
            ("1:2:3:4:5:6:7:8", true),
            ("1:2:3:4:5:6:7", false),
            ("1:2:3:4:5:6:7:8:9", false),
            ("1::2::3", false),
            ("1:2:3:4::5:6:7:8", false),
            ("12345::", false),
            ("g::", false),
            ("::ffff:1.2.3.4", false),
            ("fe80::/10", true),
            ("fe80::/129", false),
        ];
        for (text, wanted) in table {
            assert_eq!(Range::parse(text).is_some(), wanted, "{text}");
        }
    }

    #[test]
    fn an_address_is_in_a_range_when_the_bits_that_count_agree() {
        let table = [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.9.9.9/8", "10.0.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.128/25", "10.1.2.200", true),
            ("10.1.2.128/25", "10.1.2.100", false),
            ("0.0.0.0/0", "192.168.0.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "fe80:0:0:0:0:0:0:1", true),
            ("::1", "0:0:0:0:0:0:0:1", true),
            ("2001:db8::/32", "2001:db8:1:2:3:4:5:6", true),
            ("2001:db8::/33", "2001:db8:8000:0:0:0:0:0", false),
            ("1::8", "1:0:0:0:0:0:0:8", true),
            ("10.0.0.0/8", "nonsense", false),
        ];
        for (range, address, wanted) in table {
            assert_eq!(
                Range::parse(range).is_some_and(|r| r.contains(address)),
                wanted,
                "{range} {address}"
            );
        }
    }
}

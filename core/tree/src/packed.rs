//! A znode's name and data in one allocation.
//!
//! | Bytes | |
//! |---|---|
//! | 1 to 5 | length of the name × 2, + 1 if the data is null; seven bits a byte, low ones first |
//! | | the name |
//! | | the data |

/// Name and data.
#[derive(Debug, Default)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    pub(crate) fn new(name: &[u8], data: Option<&[u8]>) -> Self {
        let data_len = data.map_or(0, <[u8]>::len);
        let mut head = ((name.len() as u64) << 1) | u64::from(data.is_none());
        let head_len = (64 - (head | 1).leading_zeros() as usize).div_ceil(7);
        let mut bytes = Vec::with_capacity(head_len + name.len() + data_len);
        while head >= 0x80 {
            bytes.push(head as u8 | 0x80);
            head >>= 7;
        }
        bytes.push(head as u8);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(data.unwrap_or_default());
        Self(bytes.into_boxed_slice())
    }

    /// Where name and data start, and whether the data is null.
    fn head(&self) -> (usize, usize, bool) {
        let mut head = 0u64;
        let mut at = 0;
        for (position, byte) in self.0.iter().enumerate() {
            head |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                at = position + 1;
                break;
            }
        }
        (at, at + (head >> 1) as usize, head & 1 == 1)
    }

    pub(crate) fn name(&self) -> &[u8] {
        let (name, data, _) = self.head();
        &self.0[name..data]
    }

    pub(crate) fn data(&self) -> Option<&[u8]> {
        let (_, data, null) = self.head();
        (!null).then(|| &self.0[data..])
    }

    pub(crate) fn data_len(&self) -> usize {
        let (_, data, _) = self.head();
        self.0.len() - data
    }

    /// Replaces the data, in place where its length stays.
    pub(crate) fn set_data(&mut self, data: Option<&[u8]>) {
        let (name, start, null) = self.head();
        match data {
            Some(bytes) if !null && bytes.len() == self.0.len() - start => {
                self.0[start..].copy_from_slice(bytes)
            }
            _ => *self = Self::new(&self.0[name..start], data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_data_come_back_at_every_length() {
        for name_len in [0, 1, 31, 63, 64, 65, 127, 128, 8191, 8192, 100_000] {
            let name = vec![b'n'; name_len];
            for data in [None, Some(&b""[..]), Some(b"x"), Some(&[0xff; 1000])] {
                let packed = Packed::new(&name, data);
                assert_eq!(
                    (packed.name(), packed.data()),
                    (&name[..], data),
                    "{name_len}"
                );
                assert_eq!(packed.data_len(), data.map_or(0, <[u8]>::len));
                assert_eq!(packed.0.len(), packed.0.to_vec().len());
            }
        }
    }

    #[test]
    fn a_short_name_costs_one_byte_more() {
        assert_eq!(Packed::new(&[b'n'; 63], None).0.len(), 64);
        assert_eq!(Packed::new(&[b'n'; 64], Some(b"dd")).0.len(), 68);
    }

    #[test]
    fn data_is_replaced_with_null_empty_and_other_lengths() {
        let values = [
            None,
            Some(&b""[..]),
            Some(b"abc"),
            Some(b"xyz"),
            Some(b"longer than that"),
        ];
        for from in values {
            for to in values {
                let mut packed = Packed::new(b"name", from);
                packed.set_data(to);
                assert_eq!((packed.name(), packed.data()), (&b"name"[..], to));
            }
        }
    }
}

//! `hash`.

use std::fmt::Write;

use zabra_proto::Zxid;

/// The answer of `hash`: digests of the tree in the past, oldest first.
#[must_use]
pub fn hash(digests: impl Iterator<Item = (Zxid, u64)>) -> String {
    let mut out = String::new();
    for (zxid, digest) in digests {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:x}: {}", zxid.0, digest.cast_signed());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_a_line() {
        let digests = [(Zxid(0x80), 7), (Zxid(0x100), u64::MAX)];
        assert_eq!(hash(digests.into_iter()), "80: 7\n100: -1\n");
    }
}

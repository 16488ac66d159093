//! Session passwords: 16 bytes that every server of an ensemble computes alike from the session id.
//!
//! They are no secret (P83): Apache's servers must be able to check the sessions of ours and the reverse, so the
//! formula is theirs (`design 2.7`). Whoever wants security needs authentication.

use crate::SessionId;

/// Length of a session password in bytes.
pub const LEN: usize = 16;

const MASK: u64 = (1 << 48) - 1;
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const SALT: u64 = 0xB341_5C00;

/// The password of a session: the first 16 bytes of a 48-bit linear congruential generator seeded from its id
/// (protocol 10.2).
#[must_use]
pub fn of(session: SessionId) -> [u8; LEN] {
    let mut state = (session.0.cast_unsigned() ^ SALT ^ MULTIPLIER) & MASK;
    let mut password = [0; LEN];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

/// Whether `given` is the session's password. Session 0 has none. Runs in the same time whatever differs.
#[must_use]
pub fn matches(session: SessionId, given: &[u8]) -> bool {
    let expected = of(session);
    let differing = expected
        .iter()
        .zip(given)
        .fold(0, |acc, (a, b)| acc | (a ^ b));
    session != SessionId::NONE && given.len() == LEN && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_apache_computes() {
        // Vector W01.
        let expected = 0xcf21_5a25_b090_295b_c586_f1d2_79a8_2979_u128.to_be_bytes();
        assert_eq!(of(SessionId(0x0100_0031_5473_0000)), expected);
    }

    #[test]
    fn no_password_opens_session_zero() {
        assert!(!matches(SessionId::NONE, &of(SessionId::NONE)));
    }

    #[test]
    fn a_password_of_another_length_is_wrong() {
        let id = SessionId(77);
        assert!(matches(id, &of(id)));
        assert!(!matches(id, &of(id)[..15]));
        assert!(!matches(id, &[of(id).as_slice(), &[0]].concat()));
    }
}

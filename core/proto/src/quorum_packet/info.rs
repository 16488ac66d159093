//! How a learner and a leader introduce themselves: the data of FOLLOWERINFO, OBSERVERINFO and LEADERINFO.
//!
//! Receivers look only at a minimum length. Servers of this project tell each other by capability bytes behind the
//! parts that everybody knows; what they mean is not decided here.

use zabra_jute::{Decode, Encode, JuteError, Reader};

use crate::Sid;

/// The protocol of every release since 3.4.
pub const PROTOCOL_VERSION: i32 = 0x10000;

/// The protocol of a learner that does not say.
const PROTOCOL_UNSAID: i32 = 1;

/// Who a learner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnerInfo<'a> {
    /// Its number.
    pub sid: Sid,
    /// Its protocol; 1 if it did not say.
    pub protocol: i32,
    /// The version of its committed membership; 3.4 does not say.
    pub config_version: Option<i64>,
    /// What stands behind; kept as it came. Sent only behind a configuration version.
    pub capabilities: &'a [u8],
}

impl<'a> LearnerInfo<'a> {
    /// Reads the data of the packet. What is too short for a field is no field.
    pub(super) fn decode(data: &'a [u8]) -> Result<Self, JuteError> {
        let mut r = Reader::new(data);
        let sid = Sid::decode(&mut r)?;
        let protocol = r.i32().unwrap_or(PROTOCOL_UNSAID);
        let config_version = r.i64().ok();
        Ok(Self {
            sid,
            protocol,
            config_version,
            capabilities: if config_version.is_some() {
                r.rest()
            } else {
                &[]
            },
        })
    }
}

impl Encode for LearnerInfo<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sid.encode(out);
        self.protocol.encode(out);
        if let Some(version) = self.config_version {
            version.encode(out);
            out.extend_from_slice(self.capabilities);
        }
    }
}

/// What a leader says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderInfo<'a> {
    /// Its protocol.
    pub protocol: i32,
    /// What stands behind; kept as it came.
    pub capabilities: &'a [u8],
}

impl<'a> LeaderInfo<'a> {
    /// Reads the data of the packet.
    pub(super) fn decode(data: &'a [u8]) -> Result<Self, JuteError> {
        let mut r = Reader::new(data);
        Ok(Self {
            protocol: r.i32()?,
            capabilities: r.rest(),
        })
    }
}

impl Encode for LeaderInfo<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.protocol.encode(out);
        out.extend_from_slice(self.capabilities);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learner_says_as_much_as_its_length_allows() {
        let mut data = Vec::new();
        let full = LearnerInfo {
            sid: Sid(3),
            protocol: PROTOCOL_VERSION,
            config_version: Some(0x1_0000_0002),
            capabilities: b"zb",
        };
        full.encode(&mut data);
        for len in 0..=data.len() {
            let protocol = if len < 12 { 1 } else { PROTOCOL_VERSION };
            let expected = LearnerInfo {
                sid: Sid(3),
                protocol,
                config_version: full.config_version.filter(|_| len >= 20),
                capabilities: data.get(20..len).unwrap_or_default(),
            };
            let decoded = LearnerInfo::decode(&data[..len]).ok();
            assert_eq!(decoded, Some(expected).filter(|_| len >= 8), "{len}");
        }
    }

    #[test]
    fn a_leader_may_say_more_than_its_protocol() {
        let leader = LeaderInfo {
            protocol: PROTOCOL_VERSION,
            capabilities: &[7],
        };
        let mut data = Vec::new();
        leader.encode(&mut data);
        assert_eq!(data, [0, 1, 0, 0, 7]);
        assert_eq!(LeaderInfo::decode(&data), Ok(leader));
        assert!(LeaderInfo::decode(&data[..3]).is_err());
    }
}

//! Replies and events taken apart into fields, each with how it is compared: as it is, or through a mapping that the
//! comparison learns (zxids, session ids), or not at all (times).

use std::borrow::Cow;
use std::collections::BTreeMap;

use zabra_jute::{JuteError, Reader};

use crate::wire::{Frame, Grant, XID_NOTIFICATION, op};

/// A named value of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is, as in `stat.czxid`.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

/// A value and how it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Equal.
    Int(i64),
    /// Equal through the mapping of zxids.
    Zxid(i64),
    /// Equal through the mapping of session ids.
    Session(i64),
    /// Only whether it is 0.
    Time(i64),
    /// Equal.
    Text(Option<String>),
    /// Equal.
    Bytes(Option<Vec<u8>>),
    /// Equal, sorted before.
    Names(Vec<Option<String>>),
    /// Equal; in one order if entries come from the identities of a connection, which have none.
    Acl(Vec<(i64, Option<String>, Option<String>)>),
    /// Not to be decoded; equal bytes.
    Undecodable(Vec<u8>),
}

/// The fields of a handshake's answer.
#[must_use]
pub fn of_grant(grant: &Grant) -> Vec<Field> {
    let mut fields = vec![
        field("version", Value::Int(grant.version.into())),
        field("timeout", Value::Int(grant.timeout.into())),
        field("session", Value::Session(grant.session)),
        field(
            "password length",
            Value::Int(i64::try_from(grant.password.len()).unwrap_or(-1)),
        ),
        field(
            "password is that of the id",
            Value::Int(i64::from(grant.password == password(grant.session))),
        ),
    ];
    if let Some(byte) = grant.read_only {
        fields.push(field("read-only", Value::Int(byte.into())));
    }
    fields
}

/// The password that belongs to a session id (protocol 10.2); 16 zeros to id 0.
#[must_use]
pub fn password(session: i64) -> Vec<u8> {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    if session == 0 {
        return vec![0; 16];
    }
    let mut state = (session.cast_unsigned() ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = Vec::with_capacity(16);
    for _ in 0..4 {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        password.extend_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    password
}

/// The fields of a reply to `op`, or of a notification.
#[must_use]
pub fn of_frame(op: i32, frame: &Frame) -> Vec<Field> {
    let mut fields = vec![
        field("xid", Value::Int(frame.xid.into())),
        field("zxid", Value::Zxid(frame.zxid)),
        field("err", Value::Int(frame.err.into())),
    ];
    let mut take = Take {
        r: Reader::new(&frame.body),
        fields: Vec::new(),
    };
    let taken = if frame.xid == XID_NOTIFICATION {
        take.event()
    } else if frame.err == 0 {
        take.reply(op)
    } else {
        Ok(())
    };
    let cut_off = op == op::MULTI_READ && frame.err != 0; // allow::CUT_OFF_BODY
    let rest = if cut_off {
        Vec::new()
    } else {
        take.r.rest().to_vec()
    };
    fields.append(&mut take.fields);
    match taken {
        Ok(()) if rest.is_empty() => {}
        Ok(()) => fields.push(field("trailing bytes", Value::Undecodable(rest))),
        Err(_) => fields.push(field("undecodable", Value::Undecodable(frame.body.clone()))),
    }
    fields
}

fn field(name: impl Into<Cow<'static, str>>, value: Value) -> Field {
    Field {
        name: name.into(),
        value,
    }
}

struct Take<'a> {
    r: Reader<'a>,
    fields: Vec<Field>,
}

impl Take<'_> {
    fn put(&mut self, name: &'static str, value: Value) {
        self.fields.push(field(name, value));
    }

    fn text(&mut self, name: &'static str) -> Result<(), JuteError> {
        let text = self.r.string()?.map(Cow::into_owned);
        self.put(name, Value::Text(text));
        Ok(())
    }

    fn int(&mut self, name: &'static str) -> Result<i32, JuteError> {
        let value = self.r.i32()?;
        self.put(name, Value::Int(value.into()));
        Ok(value)
    }

    fn event(&mut self) -> Result<(), JuteError> {
        self.int("event type")?;
        self.int("event state")?;
        self.text("event path")
    }

    fn reply(&mut self, op: i32) -> Result<(), JuteError> {
        match op {
            op::CREATE | op::SYNC => self.text("path"),
            op::CREATE2 | op::CREATE_CONTAINER | op::CREATE_TTL => {
                self.text("path")?;
                self.stat()
            }
            op::EXISTS | op::SET_DATA | op::SET_ACL => self.stat(),
            op::GET_DATA | op::RECONFIG => {
                self.data()?;
                self.stat()
            }
            op::GET_ACL => {
                self.acl()?;
                self.stat()
            }
            op::GET_CHILDREN | op::GET_EPHEMERALS => self.names(),
            op::GET_CHILDREN2 => {
                self.names()?;
                self.stat()
            }
            op::SASL => self.data(),
            op::GET_ALL_CHILDREN_NUMBER => self.int("number").map(drop),
            op::ADD_WATCH => self.int("error").map(drop),
            op::WHO_AM_I => self.identities(),
            op::MULTI | op::MULTI_READ => self.results(),
            _ => Ok(()),
        }
    }

    fn data(&mut self) -> Result<(), JuteError> {
        let data = self.r.buffer()?.map(<[u8]>::to_vec);
        self.put("data", Value::Bytes(data));
        Ok(())
    }

    fn stat(&mut self) -> Result<(), JuteError> {
        let (czxid, mzxid, ctime, mtime) =
            (self.r.i64()?, self.r.i64()?, self.r.i64()?, self.r.i64()?);
        self.put("stat.czxid", Value::Zxid(czxid));
        self.put("stat.mzxid", Value::Zxid(mzxid));
        self.put("stat.ctime", Value::Time(ctime));
        self.put("stat.mtime", Value::Time(mtime));
        self.put(
            "stat.mtime = ctime",
            Value::Int(i64::from(mtime == ctime && czxid == mzxid)),
        );
        self.int("stat.version")?;
        self.int("stat.cversion")?;
        self.int("stat.aversion")?;
        let owner = self.r.i64()?;
        self.put("stat.ephemeralOwner", Value::Session(owner));
        self.int("stat.dataLength")?;
        self.int("stat.numChildren")?;
        let pzxid = self.r.i64()?;
        self.put("stat.pzxid", Value::Zxid(pzxid));
        Ok(())
    }

    fn acl(&mut self) -> Result<(), JuteError> {
        let mut acl = Vec::new();
        for _ in 0..self.r.count()?.unwrap_or(0) {
            let perms = self.r.i32()?.into();
            let scheme = self.r.string()?.map(Cow::into_owned);
            acl.push((perms, scheme, self.r.string()?.map(Cow::into_owned)));
        }
        self.put("acl", Value::Acl(acl));
        Ok(())
    }

    fn names(&mut self) -> Result<(), JuteError> {
        let mut names = Vec::new();
        for _ in 0..self.r.count()?.unwrap_or(0) {
            names.push(self.r.string()?.map(Cow::into_owned));
        }
        names.sort();
        self.put("names", Value::Names(names));
        Ok(())
    }

    fn identities(&mut self) -> Result<(), JuteError> {
        let mut names = Vec::new();
        for _ in 0..self.r.count()?.unwrap_or(0) {
            let scheme = self
                .r
                .string()?
                .unwrap_or(Cow::Borrowed("<null>"))
                .into_owned();
            let user = self.r.string()?.unwrap_or(Cow::Borrowed("<null>"));
            names.push(Some(format!("{scheme}:{user}")));
        }
        names.sort();
        self.put("identities", Value::Names(names));
        Ok(())
    }

    fn results(&mut self) -> Result<(), JuteError> {
        loop {
            let kind = self.int("result.type")?;
            let done = self.r.bool()?;
            self.int("result.err")?;
            if done {
                return Ok(());
            }
            if kind == -1 {
                self.int("result.code")?;
            } else {
                self.reply(kind)?;
            }
        }
    }
}

/// What the two servers' zxids and session ids have to do with each other, learned as they are met.
#[derive(Debug, Default)]
pub struct Mapping {
    zxids: BTreeMap<i64, i64>,
    zxids_back: BTreeMap<i64, i64>,
    /// Zxids of theirs that ours has not taken, with the last one of ours at that moment.
    void: BTreeMap<i64, i64>,
    sessions: BTreeMap<i64, i64>,
    sessions_back: BTreeMap<i64, i64>,
}

impl Mapping {
    /// Compares two lists of fields; what differs, if anything.
    pub fn difference(&mut self, theirs: &[Field], ours: &[Field]) -> Option<String> {
        for (a, b) in theirs.iter().zip(ours) {
            if a.name != b.name || !self.agree(&a.value, &b.value) {
                return Some(format!(
                    "{}: {:?}, ours {}: {:?}",
                    a.name, a.value, b.name, b.value
                ));
            }
        }
        if theirs.len() == ours.len() {
            return None;
        }
        let longer = if theirs.len() > ours.len() {
            theirs
        } else {
            ours
        };
        let whose = if theirs.len() > ours.len() {
            "theirs"
        } else {
            "ours"
        };
        Some(format!(
            "only in {whose}: {:?}",
            &longer[theirs.len().min(ours.len())..]
        ))
    }

    /// Notes that theirs took a zxid where ours took none and stands at `ours` (`allow::VOID_ZXID`).
    pub fn void(&mut self, theirs: i64, ours: i64) {
        if self.zxids.get(&theirs) != Some(&ours) {
            self.void.insert(theirs, ours);
        }
    }

    fn agree(&mut self, theirs: &Value, ours: &Value) -> bool {
        match (theirs, ours) {
            (Value::Zxid(a), Value::Zxid(b)) => {
                if *a <= 0 || *b <= 0 {
                    return a == b;
                }
                if let Some(stands_at) = self.void.get(a) {
                    return stands_at == b;
                }
                learn(&mut self.zxids, *a, *b)
                    && learn(&mut self.zxids_back, *b, *a)
                    && self.ordered(*a, *b)
            }
            (Value::Session(a), Value::Session(b)) => {
                if *a == 0 || *b == 0 {
                    return a == b;
                }
                learn(&mut self.sessions, *a, *b) && learn(&mut self.sessions_back, *b, *a)
            }
            (Value::Time(a), Value::Time(b)) => (*a == 0) == (*b == 0),
            (Value::Acl(a), Value::Acl(b)) => {
                a == b || (identities(a) > 1 && sorted(a) == sorted(b))
            }
            _ => theirs == ours,
        }
    }

    /// Whether the order of zxids is the same on both servers.
    fn ordered(&self, theirs: i64, ours: i64) -> bool {
        let before = self
            .zxids
            .range(..theirs)
            .next_back()
            .is_none_or(|(_, b)| *b < ours);
        let after = self
            .zxids
            .range(theirs + 1..)
            .next()
            .is_none_or(|(_, b)| *b > ours);
        before && after
    }
}

fn learn(map: &mut BTreeMap<i64, i64>, from: i64, to: i64) -> bool {
    *map.entry(from).or_insert(to) == to
}

/// How many entries can come from expanding scheme `auth`.
fn identities(acl: &[(i64, Option<String>, Option<String>)]) -> usize {
    acl.iter()
        .filter(|(_, scheme, _)| scheme.as_deref() == Some("digest"))
        .count()
}

fn sorted<T: Ord + Clone>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxids_are_compared_by_what_they_stand_for() {
        let mut mapping = Mapping::default();
        assert!(mapping.agree(&Value::Zxid(5), &Value::Zxid(3)));
        assert!(mapping.agree(&Value::Zxid(7), &Value::Zxid(4)));
        assert!(!mapping.agree(&Value::Zxid(5), &Value::Zxid(4)));
        assert!(!mapping.agree(&Value::Zxid(8), &Value::Zxid(2)));
        assert!(!mapping.agree(&Value::Zxid(0), &Value::Zxid(9)));
    }

    #[test]
    fn a_password_belongs_to_its_id() {
        // A captured handshake of Apache ZooKeeper (protocol W01).
        let captured = [
            0xcf, 0x21, 0x5a, 0x25, 0xb0, 0x90, 0x29, 0x5b, 0xc5, 0x86, 0xf1, 0xd2, 0x79, 0xa8,
            0x29, 0x79,
        ];
        assert_eq!(password(0x0100_0031_5473_0000), captured);
        assert_eq!(password(0), vec![0; 16]);
    }
}

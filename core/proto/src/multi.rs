//! multi and multiRead: several operations in one frame (protocol 7).

use zabra_jute::{Decode, Encode, JuteError, JuteErrorKind, Reader};

use crate::client::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, MultiHeader,
    PathWatchRequest, SetDataRequest,
};
use crate::{CreateMode, OpCode};

/// One element of a multi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiOp<'a> {
    /// create.
    Create(CreateRequest<'a>),
    /// create2.
    Create2(CreateRequest<'a>),
    /// createContainer.
    CreateContainer(CreateRequest<'a>),
    /// createTTL.
    CreateTtl(CreateTtlRequest<'a>),
    /// delete.
    Delete(DeleteRequest<'a>),
    /// setData.
    SetData(SetDataRequest<'a>),
    /// check.
    Check(CheckVersionRequest<'a>),
}

impl MultiOp<'_> {
    /// Its op code, also in its result's header unless the op is a create that answers with a Stat.
    #[must_use]
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
        }
    }
}

/// Decodes the body of a multi. Reads among the writes, other op codes, unknown create flags and TTL flags without a
/// TTL fail the whole request, as with Apache from 3.8.2 on.
pub fn decode_writes<'a>(r: &mut Reader<'a>) -> Result<Vec<MultiOp<'a>>, JuteError> {
    let mut ops = Vec::new();
    loop {
        let offset = r.position();
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(ops);
        }
        let unknown = JuteError {
            offset,
            kind: JuteErrorKind::Unknown {
                what: "multi element",
                value: header.kind,
            },
        };
        let op = match OpCode::from_code(header.kind) {
            Some(OpCode::Create) => create(CreateRequest::decode(r)?, offset, MultiOp::Create)?,
            Some(OpCode::Create2) => create(CreateRequest::decode(r)?, offset, MultiOp::Create2)?,
            Some(OpCode::CreateContainer) => {
                create(CreateRequest::decode(r)?, offset, MultiOp::CreateContainer)?
            }
            Some(OpCode::CreateTtl) => MultiOp::CreateTtl(CreateTtlRequest::decode(r)?),
            Some(OpCode::Delete) => MultiOp::Delete(DeleteRequest::decode(r)?),
            Some(OpCode::SetData) => MultiOp::SetData(SetDataRequest::decode(r)?),
            Some(OpCode::Check) => MultiOp::Check(CheckVersionRequest::decode(r)?),
            _ => return Err(unknown),
        };
        ops.push(op);
    }
}

/// The flags of a create inside a multi overrule its op code (protocol 7.1): a container flag makes it a
/// createContainer, and a TTL flag one that lacks its TTL.
fn create<'a>(
    request: CreateRequest<'a>,
    offset: usize,
    otherwise: fn(CreateRequest<'a>) -> MultiOp<'a>,
) -> Result<MultiOp<'a>, JuteError> {
    let bad = JuteErrorKind::Unknown {
        what: "create mode",
        value: request.flags,
    };
    match CreateMode::from_code(request.flags) {
        None => Err(JuteError { offset, kind: bad }),
        Some(mode) if mode.has_ttl() => Err(JuteError { offset, kind: bad }),
        Some(CreateMode::Container) => Ok(MultiOp::CreateContainer(request)),
        Some(_) => Ok(otherwise(request)),
    }
}

/// One element of a multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiReadOp<'a> {
    /// getData; its watch flag is ignored.
    GetData(PathWatchRequest<'a>),
    /// getChildren; its watch flag is ignored.
    GetChildren(PathWatchRequest<'a>),
}

/// Decodes the body of a multiRead; anything but getData and getChildren fails the whole request.
pub fn decode_reads<'a>(r: &mut Reader<'a>) -> Result<Vec<MultiReadOp<'a>>, JuteError> {
    let mut ops = Vec::new();
    loop {
        let offset = r.position();
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(ops);
        }
        ops.push(match OpCode::from_code(header.kind) {
            Some(OpCode::GetData) => MultiReadOp::GetData(PathWatchRequest::decode(r)?),
            Some(OpCode::GetChildren) => MultiReadOp::GetChildren(PathWatchRequest::decode(r)?),
            _ => {
                let kind = JuteErrorKind::Unknown {
                    what: "multiRead element",
                    value: header.kind,
                };
                return Err(JuteError { offset, kind });
            }
        });
    }
}

/// Appends one element: its header, then its record.
pub fn encode_element(op: OpCode, record: &impl Encode, out: &mut Vec<u8>) {
    MultiHeader {
        kind: op.code(),
        done: false,
        error: -1,
    }
    .encode(out);
    record.encode(out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(op: OpCode, record: &impl Encode) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_element(op, record, &mut bytes);
        MultiHeader::END.encode(&mut bytes);
        bytes
    }

    fn create_with(flags: i32) -> CreateRequest<'static> {
        CreateRequest {
            path: "/a".into(),
            data: None,
            acl: None,
            flags,
        }
    }

    #[test]
    fn an_empty_multi_is_legal() {
        assert_eq!(
            decode_writes(&mut Reader::new(&one(OpCode::Check, &())[9..])),
            Ok(vec![])
        );
    }

    #[test]
    fn a_container_flag_makes_a_create_a_create_container() {
        let bytes = one(OpCode::Create, &create_with(4));
        assert_eq!(
            decode_writes(&mut Reader::new(&bytes)),
            Ok(vec![MultiOp::CreateContainer(create_with(4))])
        );
    }

    #[test]
    fn ttl_and_unknown_flags_fail_the_whole_request() {
        for flags in [5, 6, 7, -1] {
            let bytes = one(OpCode::Create2, &create_with(flags));
            assert!(decode_writes(&mut Reader::new(&bytes)).is_err(), "{flags}");
        }
    }

    #[test]
    fn reads_and_writes_do_not_mix() {
        let read = PathWatchRequest {
            path: "/a".into(),
            watch: false,
        };
        assert!(decode_writes(&mut Reader::new(&one(OpCode::GetData, &read))).is_err());
        let delete = DeleteRequest {
            path: "/a".into(),
            version: -1,
        };
        assert!(decode_reads(&mut Reader::new(&one(OpCode::Delete, &delete))).is_err());
    }
}

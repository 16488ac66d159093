//! Requests, answers, transactions, records of the log: bytes in and out.

use std::hint::black_box;

use zabra_jute::{Decode, Encode, Limits, Reader};
use zabra_proto::client::{
    GetDataResponse, PathWatchRequest, ReplyHeader, RequestHeader, SetDataRequest,
};
use zabra_proto::txn::{Payload, SetDataTxn};
use zabra_proto::{
    ErrorCode, OpCode, SessionId, Stat, Txn, TxnDigest, TxnHeader, TxnKind, WallMillis, Xid, Zxid,
};
use zabra_storage::record::encode_record;

use crate::{DATA, Work, path_of};

/// Header and body, from a buffer.
pub fn decode_get() -> Work {
    let frame = request(
        OpCode::GetData,
        &PathWatchRequest {
            path: path_of(1).into(),
            watch: false,
        },
    );
    Box::new(move |_| {
        let mut reader = Reader::new(black_box(&frame));
        let header = RequestHeader::decode(&mut reader);
        let body = PathWatchRequest::decode(&mut reader);
        black_box((header.is_ok(), body.is_ok_and(|body| !body.watch)));
    })
}

/// Header and body, from a buffer.
pub fn decode_set() -> Work {
    let frame = request(
        OpCode::SetData,
        &SetDataRequest {
            path: path_of(1).into(),
            data: Some(&DATA),
            version: -1,
        },
    );
    Box::new(move |_| {
        let mut reader = Reader::new(black_box(&frame));
        let header = RequestHeader::decode(&mut reader);
        let body = SetDataRequest::decode(&mut reader);
        black_box((header.is_ok(), body.is_ok_and(|body| body.version == -1)));
    })
}

/// Header, data and Stat, into a buffer that is there.
pub fn encode_get_answer() -> Work {
    let mut out = Vec::with_capacity(4096);
    Box::new(move |number| {
        out.clear();
        ReplyHeader {
            xid: Xid(number as i32),
            zxid: Zxid(number),
            error: ErrorCode::OK,
        }
        .encode(&mut out);
        GetDataResponse {
            data: Some(black_box(&DATA)),
            stat: Stat::default(),
        }
        .encode(&mut out);
        black_box(&out);
    })
}

/// As it goes into the log and to the followers.
pub fn encode_txn() -> Work {
    let path = path_of(1);
    let mut out = Vec::with_capacity(4096);
    Box::new(move |number| {
        out.clear();
        set_data(&path, number).encode(&mut out);
        black_box(&out);
    })
}

/// As it comes from the log or the leader.
pub fn decode_txn() -> Work {
    let mut bytes = Vec::new();
    set_data(&path_of(1), 1).encode(&mut bytes);
    Box::new(move |_| {
        let payload = Payload::decode(black_box(&bytes), Limits::DEFAULT);
        black_box(payload.is_ok_and(|payload| payload.digest.is_some()));
    })
}

/// Length, checksum and end of record around what is encoded already.
pub fn frame_record() -> Work {
    let mut payload = Vec::new();
    set_data(&path_of(1), 1).encode(&mut payload);
    let mut out = Vec::with_capacity(4096);
    Box::new(move |_| {
        out.clear();
        encode_record(black_box(&payload), &mut out);
        black_box(&out);
    })
}

fn request(op: OpCode, body: &impl Encode) -> Vec<u8> {
    let mut frame = Vec::new();
    let header = RequestHeader {
        xid: Xid(1),
        op: op.code(),
    };
    header.encode(&mut frame);
    body.encode(&mut frame);
    frame
}

fn set_data(path: &str, number: u64) -> Payload<'_> {
    Payload {
        header: TxnHeader {
            session: SessionId(1),
            cxid: Xid(1),
            zxid: Zxid(number + 1),
            time: WallMillis(1),
            kind: TxnKind::SetData,
        },
        txn: Txn::SetData(SetDataTxn {
            path: path.into(),
            data: Some(&DATA),
            version: 1,
        }),
        digest: Some(TxnDigest {
            version: 2,
            tree_digest: 1,
        }),
    }
}

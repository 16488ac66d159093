//! A request from its bytes to the bytes of its answer: connection, peer, tree. No socket, and a disk that takes no time.

use std::hint::black_box;

use zabra_jute::Encode;
use zabra_proto::client::{CreateRequest, PathWatchRequest, RequestHeader, SetDataRequest};
use zabra_proto::{ConnId, OpCode, Perms, RawAcl, Xid};
use zabra_testkit::solo::Solo;

use crate::{DATA, Work, path, paths};

/// Of a znode whose data is short.
pub fn get() -> Work {
    let paths = paths();
    let mut served = Served::with(&paths);
    Box::new(move |number| {
        let request = PathWatchRequest {
            path: path(&paths, number).into(),
            watch: false,
        };
        black_box(served.ask(OpCode::GetData, &request));
    })
}

/// New data of the same length; nobody watches.
pub fn set() -> Work {
    let paths = paths();
    let mut served = Served::with(&paths);
    Box::new(move |number| {
        let request = SetDataRequest {
            path: path(&paths, number).into(),
            data: Some(&DATA),
            version: -1,
        };
        black_box(served.ask(OpCode::SetData, &request));
        // Kept for tests, which have few.
        served.solo.log.clear();
    })
}

/// A server with as many znodes as the load generator makes, and a session.
struct Served {
    solo: Solo,
    conn: ConnId,
    frame: Vec<u8>,
}

impl Served {
    fn with(paths: &[String]) -> Self {
        let mut solo = Solo::new();
        let (conn, _) = solo.open(30_000);
        let mut served = Self {
            solo,
            conn,
            frame: Vec::new(),
        };
        let parent = paths[0].rsplit_once('/').map_or("", |(parent, _)| parent);
        for path in std::iter::once(parent).chain(paths.iter().map(String::as_str)) {
            served.create(path);
        }
        served
    }

    fn create(&mut self, path: &str) {
        let acl = RawAcl {
            perms: Perms::ALL,
            scheme: Some("world".into()),
            id: Some("anyone".into()),
        };
        let request = CreateRequest {
            path: path.into(),
            data: Some(&DATA),
            acl: Some(vec![acl]),
            flags: 0,
        };
        self.ask(OpCode::Create, &request);
    }

    /// The answer's bytes.
    fn ask(&mut self, op: OpCode, request: &impl Encode) -> Vec<u8> {
        self.frame.clear();
        self.frame.extend([0; 4]);
        RequestHeader {
            xid: Xid(1),
            op: op.code(),
        }
        .encode(&mut self.frame);
        request.encode(&mut self.frame);
        let len = u32::try_from(self.frame.len() - 4).unwrap_or_default();
        self.frame[..4].copy_from_slice(&len.to_be_bytes());
        self.solo.send(self.conn, &self.frame);
        self.solo.receive(self.conn)
    }
}

//! What the tests of this crate share: a server in a value, clients that speak in frames, and what they hear.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its part, and a panic is how a test fails"
)]

pub mod say;

use zabra_jute::{Decode, Reader};
use zabra_proto::client::{
    ConnectRequest, ConnectResponse, Create2Response, ErrorResponse, GetDataResponse, MultiHeader,
    NamesResponse, PathResponse, ReplyHeader, StatResponse, WatcherEvent,
};
use zabra_proto::{ConnId, ErrorCode, EventKind, SessionId, Stat, Xid, Zxid, password};
use zabra_serve::{Clients, LoadLimits, ServeOptions};
use zabra_session::TimeoutBounds;
use zabra_testkit::solo::{Solo, frame};
use zabra_tree::acl::AclRules;

use say::Request;

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub xid: i32,
    pub zxid: i64,
    pub error: ErrorCode,
    pub body: Vec<u8>,
}

impl Reply {
    fn parse(frame: &[u8]) -> Self {
        let mut r = Reader::new(frame);
        let header = ReplyHeader::decode(&mut r).unwrap();
        Self {
            xid: header.xid.0,
            zxid: header.zxid.to_wire(),
            error: header.error,
            body: r.rest().to_vec(),
        }
    }

    /// The body as a record, all of it.
    pub fn record<'a, T: Decode<'a>>(&'a self) -> T {
        assert_eq!(self.error, ErrorCode::OK, "{self:?}");
        let mut r = Reader::new(&self.body);
        let record = T::decode(&mut r).unwrap();
        assert!(r.is_empty(), "bytes are left: {self:?}");
        record
    }

    pub fn data(&self) -> Option<Vec<u8>> {
        self.record::<GetDataResponse<'_>>()
            .data
            .map(<[u8]>::to_vec)
    }

    pub fn path(&self) -> String {
        self.record::<PathResponse<'_>>().path.into_owned()
    }

    pub fn created(&self) -> (String, Stat) {
        let created = self.record::<Create2Response<'_>>();
        (created.path.into_owned(), created.stat)
    }

    pub fn stat(&self) -> Stat {
        self.record::<StatResponse>().stat
    }

    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .record::<NamesResponse<'_>>()
            .names
            .into_iter()
            .map(Into::into)
            .collect();
        names.sort_unstable();
        names
    }

    /// Kind and path, if this is a notification.
    pub fn event(&self) -> Option<(EventKind, String)> {
        (self.xid == Xid::NOTIFICATION.0).then(|| {
            let event = self.record::<WatcherEvent<'_>>();
            assert_eq!(event.state, 3);
            (event.kind, event.path.into_owned())
        })
    }

    /// Result types and codes of a multi, whose results are whole.
    pub fn results(&self) -> Vec<(i32, i32)> {
        assert_eq!(self.error, ErrorCode::OK, "{self:?}");
        let mut r = Reader::new(&self.body);
        let mut results = Vec::new();
        loop {
            let header = MultiHeader::decode(&mut r).unwrap();
            if header.done {
                assert_eq!(header, MultiHeader::END);
                assert!(r.is_empty());
                return results;
            }
            match header.kind {
                -1 => {
                    let body = ErrorResponse::decode(&mut r).unwrap();
                    assert_eq!(body.error.code(), header.error);
                }
                1 => drop(PathResponse::decode(&mut r).unwrap()),
                4 => drop(GetDataResponse::decode(&mut r).unwrap()),
                5 => drop(StatResponse::decode(&mut r).unwrap()),
                8 => drop(NamesResponse::decode(&mut r).unwrap()),
                15 => drop(Create2Response::decode(&mut r).unwrap()),
                2 | 13 => {}
                kind => panic!("result type {kind}"),
            }
            results.push((header.kind, header.error));
        }
    }
}

/// What came, cut into frames.
pub fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((head, tail)) = bytes.split_first_chunk::<4>() {
        let (frame, rest) = tail.split_at(u32::from_be_bytes(*head) as usize);
        frames.push(frame);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame was sent");
    frames
}

/// A client with its session.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub conn: ConnId,
    pub session: SessionId,
}

/// How the server in a value serves, to be changed by a test.
pub fn serve_options() -> ServeOptions {
    ServeOptions {
        timeouts: TimeoutBounds {
            timeout_ms_min: 4000,
            timeout_ms_max: 40_000,
        },
        frame_len_max: 0xfffff,
        outstanding_max: 1000,
        out_len_pause: 1 << 20,
        out_len_max: 64 << 20,
        greeting_ms_max: 10_000,
        acl: AclRules::default(),
        super_digest: None,
        ensemble: None,
        load: LoadLimits::default(),
    }
}

/// A server that serves in another way.
pub fn solo_with(options: ServeOptions) -> Solo {
    let mut solo = Solo::new();
    solo.clients = Clients::new(options, 7);
    solo
}

/// A connect request of a client that wants this session again, or a new one.
pub fn connect(session: SessionId, password: &[u8], timeout_ms: i32, seen: Zxid) -> Vec<u8> {
    frame(&ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: seen,
        timeout_ms,
        session,
        password,
        read_only: Some(false),
    })
}

/// A server seen from its clients.
pub trait Talk {
    /// A client with a new session of 30 s.
    fn client(&mut self) -> Client;

    /// Sends a request and does not wait.
    fn say(&mut self, client: Client, xid: i32, request: &Request);

    /// What a client has heard since it last listened.
    fn hear(&mut self, client: Client) -> Vec<Reply>;

    /// Sends a request, and waits for its reply, which must be all that comes.
    fn ask(&mut self, client: Client, request: &Request) -> Reply;

    /// The same, for the code alone.
    fn code(&mut self, client: Client, request: &Request) -> ErrorCode;

    /// The same, and it must work.
    fn must(&mut self, client: Client, request: &Request) -> Reply;

    /// Events since the client last listened; there must be nothing else.
    fn events(&mut self, client: Client) -> Vec<(EventKind, String)>;

    /// Takes up a session on a new connection.
    fn resume(&mut self, session: SessionId, password: &[u8]) -> (ConnId, ConnectResponse);
}

impl Talk for Solo {
    fn client(&mut self) -> Client {
        let (conn, session) = self.open(30_000);
        assert_ne!(session, SessionId::NONE);
        Client { conn, session }
    }

    fn say(&mut self, client: Client, xid: i32, request: &Request) {
        self.send(client.conn, &request.frame(xid));
    }

    fn hear(&mut self, client: Client) -> Vec<Reply> {
        let bytes = self.receive(client.conn);
        frames(&bytes).into_iter().map(Reply::parse).collect()
    }

    fn ask(&mut self, client: Client, request: &Request) -> Reply {
        self.say(client, 77, request);
        self.flush();
        let mut heard = self.hear(client);
        assert_eq!(heard.len(), 1, "{request:?}: {heard:?}");
        heard.remove(0)
    }

    fn code(&mut self, client: Client, request: &Request) -> ErrorCode {
        self.ask(client, request).error
    }

    fn must(&mut self, client: Client, request: &Request) -> Reply {
        let reply = self.ask(client, request);
        assert_eq!(reply.error, ErrorCode::OK, "{request:?}");
        reply
    }

    fn events(&mut self, client: Client) -> Vec<(EventKind, String)> {
        let heard = self.hear(client);
        heard
            .iter()
            .map(|reply| reply.event().unwrap_or_else(|| panic!("{reply:?}")))
            .collect()
    }

    fn resume(&mut self, session: SessionId, password: &[u8]) -> (ConnId, ConnectResponse) {
        let conn = self.accept();
        self.send(conn, &connect(session, password, 30_000, Zxid::ZERO));
        self.flush();
        let bytes = self.receive(conn);
        let frames = frames(&bytes);
        assert_eq!(frames.len(), 1);
        let response = ConnectResponse::decode(&mut Reader::new(frames[0])).unwrap();
        (conn, response)
    }
}

/// The session's password, right or wrong.
pub fn password_of(session: SessionId) -> [u8; 16] {
    password::of(session)
}

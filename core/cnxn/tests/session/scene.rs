//! A session, and a server that says what the test wants.

use zabra_cnxn::{
    Action, After, CallError, Cnxn, CnxnOptions, HostPort, Hosts, LinkError, Output, Reply,
    ResumedSession, SessionState, WatchAsk, WatchKind, WatcherId,
};
use zabra_jute::{Decode, Encode, Reader, Text};
use zabra_proto::client::{
    ConnectRequest, ConnectResponse, PathWatchRequest, ReplyHeader, RequestHeader, WatcherEvent,
};
use zabra_proto::{ErrorCode, EventKind, MonoMillis, OpCode, SessionId, Xid, Zxid};

pub(crate) const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
pub(crate) const TIMEOUT_MS: i32 = 9_000;

/// A request as the server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) xid: Xid,
    pub(crate) op: Option<OpCode>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Scene {
    pub(crate) cnxn: Cnxn<u32>,
    pub(crate) now: MonoMillis,
    calls: u32,
}

impl Scene {
    pub(crate) fn new(options: CnxnOptions) -> Self {
        Self::with_hosts(options, &["a"], None)
    }

    pub(crate) fn with_hosts(
        options: CnxnOptions,
        hosts: &[&str],
        resumed: Option<ResumedSession>,
    ) -> Self {
        let now = MonoMillis(1_000_000);
        let hosts = hosts.iter().map(|host| (*host).to_owned());
        let hosts = hosts.map(|host| HostPort { host, port: 2181 }).collect();
        Self {
            cnxn: Cnxn::new(options, Hosts::new(hosts, 7), resumed, now),
            now,
            calls: 0,
        }
    }

    /// A session that a server serves.
    pub(crate) fn connected() -> Self {
        Self::connected_with(options())
    }

    pub(crate) fn connected_with(options: CnxnOptions) -> Self {
        let mut scene = Self::new(options);
        scene.greet();
        scene.outputs();
        scene
    }

    /// Dials, greets, and is accepted. Returns the greeting.
    pub(crate) fn greet(&mut self) -> Vec<u8> {
        let greeting = self.dial();
        self.accept(SESSION, TIMEOUT_MS, false);
        greeting
    }

    /// Waits as long as it must, and connects. Returns the first frame.
    pub(crate) fn dial(&mut self) -> Vec<u8> {
        self.until_dialing();
        self.cnxn.on_connected();
        let frames = self.frames();
        assert_eq!(
            frames.len(),
            1,
            "nothing but the greeting before its answer"
        );
        frames.into_iter().next().unwrap()
    }

    /// Lets time pass until the session wants a connection; which server it wants.
    pub(crate) fn until_dialing(&mut self) -> String {
        loop {
            match self.cnxn.action() {
                Action::Dial(host) => return host.host,
                Action::Wait => self.pass_to_deadline(),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn pass_to_deadline(&mut self) {
        let deadline = self.cnxn.deadline().unwrap();
        self.pass(deadline.since(self.now));
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.now = self.now.after(millis);
        self.cnxn.on_timer(self.now);
    }

    /// The server's answer to the greeting.
    pub(crate) fn accept(&mut self, session: SessionId, timeout_ms: i32, read_only: bool) {
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms,
            session,
            password: [5; 16],
            read_only: Some(read_only),
        };
        self.server_says(&[&response]).unwrap();
    }

    /// A frame of the server.
    pub(crate) fn server_says(&mut self, records: &[&dyn Erased]) -> Result<usize, LinkError> {
        let frame = frame(records);
        self.cnxn.on_bytes(self.now, &frame)
    }

    pub(crate) fn reply(
        &mut self,
        xid: Xid,
        zxid: u64,
        error: ErrorCode,
    ) -> Result<usize, LinkError> {
        let zxid = Zxid(zxid);
        self.server_says(&[&ReplyHeader { xid, zxid, error }])
    }

    pub(crate) fn event(&mut self, kind: EventKind, path: &str) {
        let header = ReplyHeader {
            xid: Xid::NOTIFICATION,
            zxid: Zxid(77),
            error: ErrorCode::OK,
        };
        self.server_says(&[&header, &WatcherEvent::new(kind, path)])
            .unwrap();
    }

    /// A getData; its number.
    pub(crate) fn get(&mut self, path: &str) -> u32 {
        self.call(OpCode::GetData, path, After::Nothing)
    }

    pub(crate) fn call(&mut self, op: OpCode, path: &str, after: After) -> u32 {
        self.calls += 1;
        let body = PathWatchRequest {
            path: Text::Borrowed(path),
            watch: matches!(after, After::Watch(_)),
        };
        self.cnxn
            .call(self.now, op, &body, after, self.calls)
            .unwrap();
        self.calls
    }

    /// A read with a watch; its number and its watcher.
    pub(crate) fn watch(&mut self, path: &str, kind: WatchKind) -> (u32, WatcherId) {
        let watcher = self.cnxn.next_watcher();
        let after = After::Watch(Box::new(WatchAsk {
            watcher: Some(watcher),
            path: path.to_owned(),
            kind,
        }));
        let op = match kind {
            WatchKind::Data => OpCode::GetData,
            WatchKind::Exist => OpCode::Exists,
            WatchKind::Child => OpCode::GetChildren2,
            WatchKind::Persistent | WatchKind::Recursive => OpCode::AddWatch,
        };
        (self.call(op, path, after), watcher)
    }

    /// A watch that the server has confirmed.
    pub(crate) fn watching(&mut self, path: &str, kind: WatchKind) -> WatcherId {
        let (_, watcher) = self.watch(path, kind);
        self.answer_all();
        self.outputs();
        watcher
    }

    pub(crate) fn frames(&mut self) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        self.cnxn.take_out(self.now, &mut out);
        let mut r = Reader::new(&out);
        let mut frames = Vec::new();
        while !r.is_empty() {
            frames.push(r.buffer().unwrap().unwrap().to_vec());
        }
        frames
    }

    pub(crate) fn requests(&mut self) -> Vec<Request> {
        let frames = self.frames();
        let requests = frames.iter().map(|frame| {
            let mut r = Reader::new(frame);
            let header = RequestHeader::decode(&mut r).unwrap();
            Request {
                xid: header.xid,
                op: OpCode::from_code(header.op),
                body: r.rest().to_vec(),
            }
        });
        requests.collect()
    }

    pub(crate) fn ops(&mut self) -> Vec<OpCode> {
        self.requests()
            .into_iter()
            .filter_map(|request| request.op)
            .collect()
    }

    /// Success for all that the server was asked.
    pub(crate) fn answer_all(&mut self) {
        for request in self.requests() {
            self.reply(request.xid, 0, ErrorCode::OK).unwrap();
        }
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output<u32>> {
        let mut outputs = Vec::new();
        self.cnxn.take_outputs(&mut outputs);
        outputs
    }

    /// How calls have ended: number and result.
    pub(crate) fn ended(&mut self) -> Vec<(u32, Result<(), CallError>)> {
        let outputs = self.outputs().into_iter();
        let ended = outputs.filter_map(|output| match output {
            Output::Done { call, result } => Some((call, result.map(drop::<Reply>))),
            _ => None,
        });
        ended.collect()
    }

    pub(crate) fn states(&mut self) -> Vec<SessionState> {
        let outputs = self.outputs().into_iter();
        let states = outputs.filter_map(|output| match output {
            Output::State(state) => Some(state),
            _ => None,
        });
        states.collect()
    }

    /// Who heard something.
    pub(crate) fn heard(&mut self) -> Vec<WatcherId> {
        let outputs = self.outputs().into_iter();
        let heard = outputs.filter_map(|output| match output {
            Output::Event { watchers, .. } => Some(watchers),
            _ => None,
        });
        heard.flatten().collect()
    }

    pub(crate) fn lose(&mut self) {
        self.cnxn.on_link_lost(self.now);
    }
}

pub(crate) fn options() -> CnxnOptions {
    CnxnOptions {
        session_timeout_ms: TIMEOUT_MS,
        ..CnxnOptions::default()
    }
}

pub(crate) fn greeting(frame: &[u8]) -> ConnectRequest<'_> {
    ConnectRequest::decode(&mut Reader::new(frame)).unwrap()
}

pub(crate) fn frame(records: &[&dyn Erased]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    records.iter().for_each(|record| record.put(&mut bytes));
    let len = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// A record, whichever.
pub(crate) trait Erased {
    fn put(&self, out: &mut Vec<u8>);
}

impl<T: Encode> Erased for T {
    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

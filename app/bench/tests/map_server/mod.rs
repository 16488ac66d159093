//! A server as small as can be: a map of paths to data, which it serves well or with one chosen fault.
//!
//! It stands in for a real server where the load generator itself is tested. A thread for each connection, blocking.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zabra_jute::{Decode, Encode, Reader, Text};
use zabra_proto::client::{
    ConnectResponse, CreateRequest, DeleteRequest, GetChildren2Response, GetDataResponse,
    MultiHeader, NamesResponse, PathRequest, PathResponse, PathWatchRequest, ReplyHeader,
    RequestHeader, SetDataRequest, StatResponse, WatcherEvent,
};
use zabra_proto::multi::{MultiOp, decode_writes};
use zabra_proto::{ErrorCode, EventKind, OpCode, SessionId, Stat, Xid, Zxid};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It refuses every session.
    RefusesSessions,
    /// It closes each connection that comes.
    ClosesAtOnce,
    /// It answers getData with an error.
    NoNode,
    /// It answers getData with data that is too short.
    ShortData,
    /// It answers getData with an xid that is not due.
    WrongXid,
    /// It closes the connection after so many getData.
    ClosesAfter(usize),
    /// It answers no getData.
    Silent,
    /// It closes the connection instead of answering the setData after so many.
    ClosesAfterWrites(usize),
    /// It acknowledges setData and keeps what was there.
    Forgets,
    /// It grants sessions a very short timeout, and forgives when nobody keeps to it.
    ShortSessions,
}

/// A running server; it ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct MapServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    znodes: Mutex<BTreeMap<String, Vec<u8>>>,
    sessions: AtomicI64,
    pings: AtomicUsize,
    watchers: Mutex<Vec<TcpStream>>,
}

impl MapServer {
    /// Starts one on a free port.
    pub(crate) fn start(fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                fault,
                znodes: Mutex::new(BTreeMap::from([("/".to_owned(), Vec::new())])),
                sessions: AtomicI64::new(0),
                pings: AtomicUsize::new(0),
                watchers: Mutex::new(Vec::new()),
            }),
        };
        let shared = Arc::clone(&server.shared);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // An error is the end of this connection, which its client sees.
                std::thread::spawn(move || shared.serve(socket));
            }
        });
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Pings that were answered.
    pub(crate) fn pings(&self) -> usize {
        self.shared.pings.load(Ordering::SeqCst)
    }

    /// How many znodes there are besides the root.
    pub(crate) fn left(&self) -> usize {
        self.shared.lock_znodes().len() - 1
    }
}

impl Shared {
    fn serve(&self, mut socket: TcpStream) -> io::Result<()> {
        if self.fault == Fault::ClosesAtOnce {
            return Ok(());
        }
        socket.set_nodelay(true)?;
        let mut connection = Connection::default();
        let mut input = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = socket.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            input.extend_from_slice(&buffer[..count]);
            let mut taken = 0;
            let mut open = true;
            while let Some(length) = input[taken..].first_chunk().map(|b| u32::from_be_bytes(*b))
                && let Some(frame) = input[taken + 4..].get(..length as usize)
                && open
            {
                open = self.on_frame(&mut connection, frame, &socket)?;
                taken += 4 + length as usize;
            }
            input.drain(..taken);
            socket.write_all(&connection.output)?;
            connection.output.clear();
            if !open {
                return Ok(());
            }
        }
    }

    /// Answers one frame; `false` ends the connection.
    fn on_frame(
        &self,
        connection: &mut Connection,
        frame: &[u8],
        socket: &TcpStream,
    ) -> io::Result<bool> {
        if !connection.greeted {
            connection.greeted = true;
            connection.grant(self);
            return Ok(true);
        }
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader).map_err(io::Error::other)?;
        let xid = header.xid;
        match OpCode::from_code(header.op) {
            Some(OpCode::Create) => {
                let request = CreateRequest::decode(&mut reader).map_err(io::Error::other)?;
                let data = request.data.unwrap_or_default().to_vec();
                self.lock_znodes().insert(request.path.to_string(), data);
                connection.reply(xid, &PathResponse { path: request.path });
            }
            Some(OpCode::Delete) => {
                let request = DeleteRequest::decode(&mut reader).map_err(io::Error::other)?;
                match self.lock_znodes().remove(request.path.as_ref()) {
                    Some(_) => connection.reply(xid, &()),
                    None => connection.fail(xid, ErrorCode::NO_NODE),
                }
            }
            Some(OpCode::SetData) => {
                let request = SetDataRequest::decode(&mut reader).map_err(io::Error::other)?;
                connection.writes += 1;
                if matches!(self.fault, Fault::ClosesAfterWrites(most) if connection.writes > most)
                {
                    return Ok(false);
                }
                self.set_data(connection, xid, &request);
                self.notify(&request.path)?;
            }
            Some(OpCode::Multi) => {
                let ops = decode_writes(&mut reader).map_err(io::Error::other)?;
                connection.multi(xid, &ops);
            }
            Some(OpCode::Sync) => {
                let request = PathRequest::decode(&mut reader).map_err(io::Error::other)?;
                connection.reply(xid, &PathResponse { path: request.path });
            }
            Some(OpCode::Ping) => {
                self.pings.fetch_add(1, Ordering::SeqCst);
                connection.reply(Xid::PING, &());
            }
            Some(OpCode::CloseSession) => {
                connection.reply(xid, &());
                return Ok(false);
            }
            Some(op) => {
                let request = PathWatchRequest::decode(&mut reader).map_err(io::Error::other)?;
                if request.watch {
                    self.lock_watchers().push(socket.try_clone()?);
                }
                return self.read(connection, xid, op, &request.path);
            }
            None => return Err(not_served(header.op)),
        }
        Ok(true)
    }

    fn set_data(&self, connection: &mut Connection, xid: Xid, request: &SetDataRequest<'_>) {
        let data = request.data.unwrap_or_default();
        match self.lock_znodes().get_mut(request.path.as_ref()) {
            Some(znode) => {
                if self.fault != Fault::Forgets {
                    *znode = data.to_vec();
                }
                connection.reply(
                    xid,
                    &StatResponse {
                        stat: stat(data.len()),
                    },
                );
            }
            None => connection.fail(xid, ErrorCode::NO_NODE),
        }
    }

    /// Answers what has a path and a watch; `false` ends the connection.
    fn read(
        &self,
        connection: &mut Connection,
        xid: Xid,
        op: OpCode,
        path: &str,
    ) -> io::Result<bool> {
        let znodes = self.lock_znodes();
        let Some(data) = znodes.get(path) else {
            connection.fail(xid, ErrorCode::NO_NODE);
            return Ok(true);
        };
        match op {
            OpCode::GetData => return Ok(self.get_data(connection, xid, data)),
            OpCode::Exists => {
                connection.reply(
                    xid,
                    &StatResponse {
                        stat: stat(data.len()),
                    },
                );
            }
            OpCode::GetChildren | OpCode::GetChildren2 => {
                let prefix = format!("{path}/");
                let below = znodes.range(prefix.clone()..);
                let names = below.map_while(|(path, _)| path.strip_prefix(&prefix));
                let names: Vec<Text<'_>> = names
                    .filter(|name| !name.contains('/'))
                    .map(Text::from)
                    .collect();
                if op == OpCode::GetChildren {
                    connection.reply(xid, &NamesResponse { names });
                } else {
                    let stat = stat(data.len());
                    connection.reply(xid, &GetChildren2Response { names, stat });
                }
            }
            other => return Err(not_served(other.code())),
        }
        Ok(true)
    }

    fn get_data(&self, connection: &mut Connection, xid: Xid, data: &[u8]) -> bool {
        let data = match self.fault {
            Fault::ShortData => &data[1..],
            _ => data,
        };
        let reply = GetDataResponse {
            data: Some(data),
            stat: stat(data.len()),
        };
        connection.reads += 1;
        match self.fault {
            Fault::NoNode => connection.fail(xid, ErrorCode::NO_NODE),
            Fault::WrongXid => connection.reply(Xid(xid.0 + 1), &reply),
            Fault::ClosesAfter(reads) if connection.reads > reads => return false,
            Fault::Silent => {}
            _ => connection.reply(xid, &reply),
        }
        true
    }

    fn notify(&self, path: &str) -> io::Result<()> {
        let mut frame = Connection::default();
        frame.reply(
            Xid::NOTIFICATION,
            &WatcherEvent::new(EventKind::NodeDataChanged, path),
        );
        for mut watcher in self.lock_watchers().drain(..) {
            watcher.write_all(&frame.output)?;
        }
        Ok(())
    }

    fn lock_znodes(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.znodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_watchers(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Connection {
    greeted: bool,
    reads: usize,
    writes: usize,
    output: Vec<u8>,
}

impl Connection {
    fn grant(&mut self, shared: &Shared) {
        let number = 1 + shared.sessions.fetch_add(1, Ordering::SeqCst);
        let response = match shared.fault {
            Fault::RefusesSessions => ConnectResponse::rejected(Some(false)),
            _ => ConnectResponse {
                protocol_version: 0,
                timeout_ms: match shared.fault {
                    Fault::ShortSessions => 60,
                    _ => 30_000,
                },
                session: SessionId(number),
                password: [0; 16],
                read_only: Some(false),
            },
        };
        self.frame(|out| response.encode(out));
    }

    fn reply(&mut self, xid: Xid, record: &impl Encode) {
        let header = ReplyHeader {
            xid,
            zxid: Zxid(1),
            error: ErrorCode::OK,
        };
        self.frame(|out| {
            header.encode(out);
            record.encode(out);
        });
    }

    fn fail(&mut self, xid: Xid, error: ErrorCode) {
        let header = ReplyHeader {
            xid,
            zxid: Zxid(1),
            error,
        };
        self.frame(|out| header.encode(out));
    }

    fn multi(&mut self, xid: Xid, ops: &[MultiOp<'_>]) {
        let mut results = Vec::new();
        for op in ops {
            let header = MultiHeader {
                kind: op.op().code(),
                done: false,
                error: 0,
            };
            header.encode(&mut results);
            stat(0).encode(&mut results);
        }
        MultiHeader::END.encode(&mut results);
        let header = ReplyHeader {
            xid,
            zxid: Zxid(1),
            error: ErrorCode::OK,
        };
        self.frame(|out| {
            header.encode(out);
            out.extend_from_slice(&results);
        });
    }

    fn frame(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let start = self.output.len();
        self.output.extend_from_slice(&[0; 4]);
        encode(&mut self.output);
        let length = (self.output.len() - start - 4) as u32;
        self.output[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

fn stat(len: usize) -> Stat {
    Stat {
        data_length: len as i32,
        ..Stat::default()
    }
}

fn not_served(op: i32) -> io::Error {
    io::Error::other(format!("op code {op} is not for this server"))
}

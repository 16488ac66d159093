//! A server that keeps nothing: it answers every request as if all had gone well, or fails in one chosen way.
//!
//! It stands in for a real server where the load generator itself is tested. A thread for each connection, blocking.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{
    ConnectResponse, CreateRequest, GetDataResponse, MultiHeader, PathResponse, PathWatchRequest,
    ReplyHeader, RequestHeader, SetDataRequest, StatResponse, WatcherEvent,
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
    /// It grants sessions a very short timeout, and forgives when nobody keeps to it.
    ShortSessions,
}

/// A running server; it ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct NullServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    /// Bytes of data that every znode seems to have: those of the last create or set.
    size: AtomicUsize,
    created: AtomicI64,
    deleted: AtomicI64,
    sessions: AtomicI64,
    pings: AtomicUsize,
    watchers: Mutex<Vec<TcpStream>>,
}

impl NullServer {
    /// Starts one on a free port.
    pub(crate) fn start(fault: Fault) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                fault,
                size: AtomicUsize::new(0),
                created: AtomicI64::new(0),
                deleted: AtomicI64::new(0),
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

    /// Znodes created less those deleted.
    pub(crate) fn left(&self) -> i64 {
        self.shared.created.load(Ordering::SeqCst) - self.shared.deleted.load(Ordering::SeqCst)
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
        match OpCode::from_code(header.op) {
            Some(OpCode::Create) => {
                let request = CreateRequest::decode(&mut reader).map_err(io::Error::other)?;
                self.created.fetch_add(1, Ordering::SeqCst);
                self.size
                    .store(request.data.unwrap_or_default().len(), Ordering::SeqCst);
                connection.reply(header.xid, &PathResponse { path: request.path });
            }
            Some(OpCode::Delete) => {
                self.deleted.fetch_add(1, Ordering::SeqCst);
                connection.reply(header.xid, &());
            }
            Some(OpCode::SetData) => {
                let request = SetDataRequest::decode(&mut reader).map_err(io::Error::other)?;
                let len = request.data.unwrap_or_default().len();
                connection.reply(header.xid, &StatResponse { stat: stat(len) });
                self.notify(&request.path)?;
            }
            Some(OpCode::Exists) => {
                let stat = stat(self.size.load(Ordering::SeqCst));
                connection.reply(header.xid, &StatResponse { stat });
            }
            Some(OpCode::GetData) => {
                let request = PathWatchRequest::decode(&mut reader).map_err(io::Error::other)?;
                if request.watch {
                    self.lock_watchers().push(socket.try_clone()?);
                }
                return Ok(self.get_data(connection, header.xid));
            }
            Some(OpCode::Multi) => {
                let ops = decode_writes(&mut reader).map_err(io::Error::other)?;
                connection.multi(header.xid, &ops);
            }
            Some(OpCode::Ping) => {
                self.pings.fetch_add(1, Ordering::SeqCst);
                connection.reply(Xid::PING, &());
            }
            Some(OpCode::CloseSession) => {
                connection.reply(header.xid, &());
                return Ok(false);
            }
            other => {
                return Err(io::Error::other(format!(
                    "{other:?} is not for this server"
                )));
            }
        }
        Ok(true)
    }

    fn get_data(&self, connection: &mut Connection, xid: Xid) -> bool {
        let size = self.size.load(Ordering::SeqCst);
        let data = vec![
            b'z';
            if self.fault == Fault::ShortData {
                size - 1
            } else {
                size
            }
        ];
        let reply = GetDataResponse {
            data: Some(&data),
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

    fn lock_watchers(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Connection {
    greeted: bool,
    reads: usize,
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

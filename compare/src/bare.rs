//! A socket and nothing else: what the system calls of a lone call cost, which no client gets below.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zabra_jute::Encode;
use zabra_proto::client::{ConnectRequest, PathWatchRequest, RequestHeader, SetDataRequest};
use zabra_proto::{OpCode, SessionId, Xid, Zxid};

use crate::client::{DATA_LEN, PATH};
use crate::row::{Meter, Op, median};

/// CPU time of a lone call, in µs: the median of `passes` windows.
#[derive(Debug, Clone, Copy)]
pub struct Bare {
    /// By one `send` and one blocking `recv`.
    pub blocking: f64,
    /// By a socket of tokio in one task, on a runtime of one thread.
    pub on_tokio: f64,
}

impl Bare {
    /// The smaller of each: what else runs only adds.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            blocking: self.blocking.min(other.blocking),
            on_tokio: self.on_tokio.min(other.on_tokio),
        }
    }

    /// Measures both.
    ///
    /// # Errors
    /// The first of the servers does not answer.
    pub fn measure(servers: &str, op: Op, passes: u32, window_ms: u64) -> io::Result<Self> {
        let window = Duration::from_millis(window_ms);
        let (mut socket, request) = (greeted(servers)?, request(op));
        let mut buffer = [0; 4096];
        let mut blocking = Vec::new();
        for _ in 0..passes {
            let (meter, end) = (Meter::begin(), Instant::now() + window);
            let mut calls = 0;
            while Instant::now() < end {
                ask(&mut socket, &request, &mut buffer)?;
                calls += 1;
            }
            blocking.push(meter.end(calls));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        socket.set_nonblocking(true)?;
        let on_tokio = runtime.block_on(async {
            let mut socket = tokio::net::TcpStream::from_std(socket)?;
            let mut windows = Vec::new();
            for _ in 0..passes {
                let (meter, end) = (Meter::begin(), Instant::now() + window);
                let mut calls = 0;
                while Instant::now() < end {
                    socket.write_all(&request).await?;
                    answered(socket.read(&mut buffer).await?)?;
                    calls += 1;
                }
                windows.push(meter.end(calls));
            }
            io::Result::Ok(windows)
        })?;
        Ok(Self {
            blocking: median(blocking).cpu_us,
            on_tokio: median(on_tokio).cpu_us,
        })
    }
}

/// A connection with a session of its own.
fn greeted(servers: &str) -> io::Result<TcpStream> {
    let server = servers.split(',').next().unwrap_or_default();
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    let connect = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 10_000,
        session: SessionId::NONE,
        password: &[0; 16],
        read_only: Some(false),
    };
    ask(&mut socket, &frame(|out| connect.encode(out)), &mut [0; 64])?;
    Ok(socket)
}

/// The same that the clients ask.
fn request(op: Op) -> Vec<u8> {
    let header = |op: OpCode| RequestHeader {
        xid: Xid(1),
        op: op.code(),
    };
    match op {
        Op::Get => frame(|out| {
            header(OpCode::GetData).encode(out);
            let body = PathWatchRequest {
                path: PATH.into(),
                watch: false,
            };
            body.encode(out);
        }),
        Op::Set => frame(|out| {
            header(OpCode::SetData).encode(out);
            let body = SetDataRequest {
                path: PATH.into(),
                data: Some(&[b'x'; DATA_LEN]),
                version: -1,
            };
            body.encode(out);
        }),
    }
}

/// One frame out, one in: it is short enough to come at once.
fn ask(socket: &mut TcpStream, frame: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    socket.write_all(frame)?;
    answered(socket.read(buffer)?)
}

fn answered(len: usize) -> io::Result<()> {
    match len {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn frame(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    put(&mut bytes);
    let len = bytes.len() - 4;
    bytes.splice(..4, (len as u32).to_be_bytes());
    bytes
}

//! A socket and nothing else: what the system calls of a lone call cost, which no client gets below.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use zabra_jute::Encode;
use zabra_proto::client::{ConnectRequest, PathWatchRequest, RequestHeader};
use zabra_proto::{OpCode, SessionId, Xid, Zxid};

use crate::client::PATH;
use crate::row::{Median, cpu_time, median};

/// CPU time of a getData by one `send` and one blocking `recv`, in µs: the median of `passes`.
///
/// # Errors
/// The first of the servers does not answer.
pub fn measure(servers: &str, passes: u32) -> io::Result<f64> {
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
    let mut buffer = [0; 4096];
    ask(&mut socket, &frame(|out| connect.encode(out)), &mut buffer)?;
    let header = RequestHeader {
        xid: Xid(1),
        op: OpCode::GetData.code(),
    };
    let read = PathWatchRequest {
        path: PATH.into(),
        watch: false,
    };
    let get = frame(|out| {
        header.encode(out);
        read.encode(out);
    });
    let mut windows = Vec::new();
    for _ in 0..passes {
        let cpu = cpu_time();
        for _ in 0..CALLS {
            ask(&mut socket, &get, &mut buffer)?;
        }
        windows.push(Median {
            cpu_us: (cpu_time() - cpu).as_secs_f64() * 1e6 / f64::from(CALLS),
            calls_per_s: 0.0,
        });
    }
    Ok(median(windows).cpu_us)
}

/// One frame out, one in: it is short enough to come at once.
fn ask(socket: &mut TcpStream, frame: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    socket.write_all(frame)?;
    match socket.read(buffer)? {
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

/// Calls of a pass.
const CALLS: u32 = 10_000;

//! A server in this process, a client that speaks frames, and a disk that can be made to wait.

use std::any::Any;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use zabra_config::{Config, Invocation, Listen, SystemProperties};
use zabra_jute::{Decode, Encode, Reader};
use zabra_proto::client::{
    ConnectRequest, ConnectResponse, CreateRequest, GetDataResponse, PathWatchRequest, ReplyHeader,
    RequestHeader, SetDataRequest,
};
use zabra_proto::{ErrorCode, OpCode, RawAcl, SessionId, Xid, Zxid};
use zabra_server::{Fatal, Server, StartError, Stopper};
use zabra_storage::{Access, DirEntry, RealVfs, Vfs, VfsFile};

/// A server that runs on a thread of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stopper: Stopper,
    thread: JoinHandle<Result<(), Fatal>>,
}

/// A configuration on a free port of loopback, with more lines of zoo.cfg.
pub(crate) fn config(dir: &Path, lines: &str) -> Config {
    let file = dir.join("zoo.cfg");
    let text = format!(
        "dataDir={}\nclientPort=2181\ntickTime=2000\n{lines}\n",
        dir.join("data").display()
    );
    std::fs::write(&file, text).unwrap();
    let mut config = Config::load(&Invocation::File(file), &SystemProperties::default()).unwrap();
    config.client = Some(Listen::at("127.0.0.1", IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    config
}

impl Running {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_on(config, Arc::new(RealVfs))
    }

    pub(crate) fn start_on(config: Config, vfs: Arc<dyn Vfs>) -> Self {
        Self::of(Server::start_on(config, vfs).unwrap())
    }

    pub(crate) fn try_start(config: Config) -> Result<Self, StartError> {
        Server::start(config).map(Self::of)
    }

    fn of(server: Server) -> Self {
        let (address, stopper) = (server.address(), server.stopper());
        Self {
            address,
            stopper,
            thread: std::thread::spawn(move || server.run()),
        }
    }

    pub(crate) fn stop(self) {
        self.stopper.stop();
        self.thread.join().unwrap().unwrap();
    }
}

/// The answer to a four-letter word: everything until the server closes.
pub(crate) fn word(address: SocketAddr, word: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(word.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// A client with a session.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) session: SessionId,
    pub(crate) password: [u8; 16],
    xid: i32,
}

pub(crate) fn connect_request(session: SessionId, password: &[u8]) -> Vec<u8> {
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid::ZERO,
        timeout_ms: 30_000,
        session,
        password,
        read_only: Some(false),
    };
    frame(&[&request])
}

impl Client {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::resume(address, SessionId::NONE, [0; 16])
    }

    pub(crate) fn resume(address: SocketAddr, session: SessionId, password: [u8; 16]) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket
            .write_all(&connect_request(session, &password))
            .unwrap();
        let reply = read_frame(&mut socket).unwrap();
        let response = ConnectResponse::decode(&mut Reader::new(&reply)).unwrap();
        Self {
            socket,
            session: response.session,
            password: response.password,
            xid: 0,
        }
    }

    /// Bytes of a request, with its xid.
    pub(crate) fn request(&mut self, op: OpCode, body: &dyn Erased) -> Vec<u8> {
        self.xid += 1;
        frame(&[
            &RequestHeader {
                xid: Xid(self.xid),
                op: op.code(),
            },
            body,
        ])
    }

    pub(crate) fn create(&mut self, path: &str, data: &[u8]) -> Vec<u8> {
        let acl = Some(vec![RawAcl {
            perms: zabra_proto::Perms(31),
            scheme: Some("world".into()),
            id: Some("anyone".into()),
        }]);
        self.request(
            OpCode::Create,
            &CreateRequest {
                path: path.into(),
                data: Some(data),
                acl,
                flags: 0,
            },
        )
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8]) -> Vec<u8> {
        self.request(
            OpCode::SetData,
            &SetDataRequest {
                path: path.into(),
                data: Some(data),
                version: -1,
            },
        )
    }

    pub(crate) fn get(&mut self, path: &str) -> Vec<u8> {
        self.request(
            OpCode::GetData,
            &PathWatchRequest {
                path: path.into(),
                watch: false,
            },
        )
    }

    /// Sends bytes of any number of requests.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next reply: its header and the bytes behind it.
    pub(crate) fn reply(&mut self) -> (ReplyHeader, Vec<u8>) {
        let frame = read_frame(&mut self.socket).unwrap();
        let mut r = Reader::new(&frame);
        let header = ReplyHeader::decode(&mut r).unwrap();
        (header, r.rest().to_vec())
    }

    /// Sends a request and takes its reply's error.
    pub(crate) fn ask(&mut self, request: &[u8]) -> ErrorCode {
        self.send(request);
        self.reply().0.error
    }

    /// The data of a znode, or why there is none.
    pub(crate) fn data(&mut self, path: &str) -> Result<Vec<u8>, ErrorCode> {
        let request = self.get(path);
        self.send(&request);
        self.data_reply()
    }

    pub(crate) fn data_reply(&mut self) -> Result<Vec<u8>, ErrorCode> {
        let (header, body) = self.reply();
        if header.error != ErrorCode::OK {
            return Err(header.error);
        }
        let response = GetDataResponse::decode(&mut Reader::new(&body)).unwrap();
        Ok(response.data.unwrap_or_default().to_vec())
    }
}

/// A record, whatever it is.
pub(crate) trait Erased {
    fn put(&self, out: &mut Vec<u8>);
}

impl<T: Encode> Erased for T {
    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
}

pub(crate) fn frame(parts: &[&dyn Erased]) -> Vec<u8> {
    let mut out = vec![0; 4];
    parts.iter().for_each(|part| part.put(&mut out));
    let len = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&len.to_be_bytes());
    out
}

/// A frame, or nothing if the server has closed the connection.
pub(crate) fn read_frame(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    socket.read_exact(&mut head).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(head) as usize];
    socket.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// A gate before every sync of a log: closed, flushes wait.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
    passed: usize,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    pub(crate) fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    /// Waits until somebody waits at the gate.
    pub(crate) fn until_somebody_waits(&self) {
        let state = self.state.lock().unwrap();
        drop(
            self.changed
                .wait_while(state, |state| state.waiting == 0)
                .unwrap(),
        );
    }

    /// How many syncs have gone through.
    pub(crate) fn passed(&self) -> usize {
        self.state.lock().unwrap().passed
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        state = self
            .changed
            .wait_while(state, |state| state.closed)
            .unwrap();
        state.waiting -= 1;
        state.passed += 1;
    }
}

/// The real file system, with a gate before the syncs of logs.
#[derive(Debug, Default)]
pub(crate) struct GatedVfs {
    pub(crate) gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    file: Box<dyn VfsFile>,
    gate: Option<Arc<Gate>>,
}

impl GatedVfs {
    fn gated(&self, path: &Path, file: Box<dyn VfsFile>) -> Box<dyn VfsFile> {
        let is_log = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("log."));
        Box::new(GatedFile {
            file,
            gate: is_log.then(|| Arc::clone(&self.gate)),
        })
    }
}

impl Vfs for GatedVfs {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.gated(path, RealVfs.create_new(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn VfsFile>> {
        Ok(self.gated(path, RealVfs.open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealVfs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealVfs.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealVfs.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealVfs.create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealVfs.exists(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealVfs.sync_dir(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        RealVfs.free_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        RealVfs.lock(path)
    }
}

impl VfsFile for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        self.file.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        self.file.preallocate(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.file.next_data(offset)
    }
}

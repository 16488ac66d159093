//! A disk that fills up, for real: an ensemble on a small file system, and a file beside it that takes the rest of the room.
//!
//! Below the low-water mark writes are refused with an error that says so, reads and the end of sessions go on, and nothing
//! that was acknowledged is lost. When there is room again everything goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::ensemble::{Ensemble, Plan, Seat};
use crate::peer::Peer;
use crate::wire::{Body, Frame, Hello, Wire, op};

/// Bytes of the file system: three low-water marks of the server.
const DISK: u64 = 384 << 20;
/// What is left of it when it is full: less than the low-water mark, and enough for what goes on all the same.
const LEFT: u64 = 64 << 20;
/// How long a server may take to notice.
const PATIENCE: Duration = Duration::from_secs(40);
pub(super) const SYSTEM_ERROR: i32 = -1;
const NO_NODE: i32 = -101;

/// A small file system, unmounted when it is dropped.
#[derive(Debug)]
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// In a file of this folder.
    fn mount(dir: &Path) -> Result<Self> {
        let (image, at) = (dir.join("disk.img"), dir.join("disk"));
        fs::File::create(&image)?.set_len(DISK)?;
        fs::create_dir(&at)?;
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0"])
            .arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&at))?;
        Ok(Self(at))
    }

    fn free(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.0)?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Takes all room but a little, without writing it.
    fn fill(&self) -> Result<()> {
        let file = fs::File::create(self.ballast())?;
        let len = self.free()?.saturating_sub(LEFT);
        let flags = rustix::fs::FallocateFlags::empty();
        Ok(rustix::fs::fallocate(&file, flags, 0, len)?)
    }

    fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that ends may still hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}

/// A session with its next xid.
#[derive(Debug)]
pub(super) struct Client(Wire, i32);

impl Client {
    pub(super) fn open(ensemble: &mut Ensemble, sid: u8) -> Result<Self> {
        let met = Wire::connect(ensemble.member(sid).addr(), &Hello::new(60_000))?;
        let (wire, grant) = met.context("closed at the handshake")?;
        ensure!(grant.session != 0, "no session was granted");
        Ok(Self(wire, 0))
    }

    fn call(&mut self, op: i32, body: &Body) -> Result<Frame> {
        self.1 += 1;
        self.0.call(self.1, op, body)
    }

    pub(super) fn create(&mut self, path: &str, flags: i32) -> Result<i32> {
        let body = Body::new().string(path).buffer(Some(b"x"));
        let body = body.acl(&[(31, "world", "anyone")]).i32(flags);
        Ok(self.call(op::CREATE, &body)?.err)
    }

    pub(super) fn exists(&mut self, path: &str) -> Result<i32> {
        let body = Body::new().string(path).bool(false);
        Ok(self.call(op::EXISTS, &body)?.err)
    }

    /// As of everything that anybody was told.
    pub(super) fn sync(&mut self) -> Result<()> {
        let frame = self.call(op::SYNC, &Body::new().string("/"))?;
        ensure!(frame.err == 0, "sync: error {}", frame.err);
        Ok(())
    }

    pub(super) fn close(mut self) -> Result<()> {
        let closed = self.call(op::CLOSE_SESSION, &Body::new())?;
        ensure!(
            closed.err == 0,
            "a session cannot end: error {}",
            closed.err
        );
        Ok(())
    }

    /// Creates znodes until this is answered; which were created.
    pub(super) fn create_until(&mut self, name: &str, wanted: i32) -> Result<Vec<String>> {
        let began = Instant::now();
        let mut created = Vec::new();
        loop {
            let path = format!("/{name}-{}", created.len());
            let answer = self.create(&path, 0)?;
            ensure!(
                [0, SYSTEM_ERROR].contains(&answer),
                "create {path}: error {answer}"
            );
            if answer == 0 {
                created.push(path);
            }
            if answer == wanted {
                return Ok(created);
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "still {answer} instead of {wanted} after {PATIENCE:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Fills the disk under an ensemble and makes room again.
///
/// # Errors
/// Something was lost, or not as it must be. A machine that mounts nothing is said, and no error.
pub(super) fn play(dir: &Path, tested: Peer) -> Result<String> {
    let disk = match SmallDisk::mount(dir) {
        Ok(disk) => disk,
        Err(error) => {
            return Ok(format!(
                "left out, no file system can be mounted: {error:#}"
            ));
        }
    };
    let mut ensemble = Ensemble::start(&disk.0, &Plan::brisk(vec![Seat::voter(tested); 3]))?;
    let sids = ensemble.sids();
    let mut clients = sids
        .iter()
        .map(|sid| Client::open(&mut ensemble, *sid))
        .collect::<Result<Vec<_>>>()?;
    let mut leaving = Client::open(&mut ensemble, 1)?;
    ensure!(clients[0].create("/before", 0)? == 0, "no write at all");
    ensure!(leaving.create("/owned", 1)? == 0, "no ephemeral znode");

    disk.fill()?;
    let mut acknowledged = vec!["/before".to_owned()];
    for (client, sid) in clients.iter_mut().zip(&sids) {
        acknowledged.extend(client.create_until(&format!("full-{sid}"), SYSTEM_ERROR)?);
    }
    // Reads go on, sessions too, and they can end.
    for client in &mut clients {
        client.sync()?;
        ensure!(client.exists("/before")? == 0, "a read was refused");
        ensure!(client.exists("/owned")? == 0, "an ephemeral znode is gone");
    }
    leaving.close()?;
    for client in &mut clients {
        client.sync()?;
        ensure!(
            client.exists("/owned")? == NO_NODE,
            "it outlived its session"
        );
    }

    disk.empty()?;
    let refused = acknowledged.len();
    for (client, sid) in clients.iter_mut().zip(&sids) {
        client.create_until(&format!("again-{sid}"), 0)?;
        acknowledged.push(format!("/again-{sid}-0"));
    }
    for sid in &sids {
        ensemble.member(*sid).terminate()?;
    }
    ensemble.start_all()?;
    for sid in sids {
        let mut client = Client::open(&mut ensemble, sid)?;
        client.sync()?;
        for path in &acknowledged {
            ensure!(client.exists(path)? == 0, "{path} is lost on {sid}");
        }
    }
    Ok(format!(
        "{refused} writes acknowledged before all were refused, and all of them there afterwards"
    ))
}

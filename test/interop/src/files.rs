//! Data directories handed from one server to the other and back.
//!
//! Apache writes and is killed; the server under test starts on the directory, must serve the same tree, writes on and is
//! killed; Apache starts on that, and so on. The tree is compared znode by znode (data, Stat, ACL) and by the digests
//! that the servers tell for the same zxids (`hash`); no server may have met a digest that did not fit.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::peer::{Line, Peer, Server, Settings};
use crate::step::step;
use crate::tree::Tree;
use crate::wire::{Body, Came, Grant, Hello, Wire, op};

/// Requests that are sent before their replies are read.
const PIPELINE: usize = 500;
/// A session must outlive a whole run, so that its ephemerals stay.
const TIMEOUT: i32 = 600_000;

/// Snapshot codecs, as the property `zookeeper.snapshot.compression.method` names them.
const CODECS: [&str; 3] = ["", "gz", "snappy"];

/// Runs every hand-over of Apache 3.9 with each codec, and in a long run of the other lines too.
///
/// # Errors
/// A tree differs, a server does not start, or something is missing.
pub fn run(peer: Peer, txns: u32, long: bool) -> Result<String> {
    peer.provide()?;
    let mut relays = 0;
    for (at, codec) in CODECS.into_iter().enumerate() {
        // The first codec gets the full size; the others show the format.
        let txns = if at == 0 || long { txns } else { txns / 5 };
        relay(peer, Line::V3_9, codec, txns)?;
        relays += 1;
    }
    if long {
        for line in Line::ALL.into_iter().filter(|line| *line != Line::V3_9) {
            relay(peer, line, "", txns)?;
            relays += 1;
        }
    }
    Ok(format!(
        "{relays} directories went to {peer} and back, {txns} txns in the first"
    ))
}

/// Apache, peer, Apache, peer on one directory.
fn relay(peer: Peer, line: Line, codec: &str, txns: u32) -> Result<()> {
    let shown = if codec.is_empty() { "plain" } else { codec };
    step(
        format_args!(
            "files: Apache {line} writes {txns} txns, snapshots {shown}, handed over three times"
        ),
        || {
            let dir = tempfile::tempdir()?;
            let handed_over = hand_over(peer, line, dir.path(), &settings(codec, txns), txns);
            handed_over.with_context(|| format!("the directory is kept: {}", dir.keep().display()))
        },
    )
}

fn hand_over(peer: Peer, line: Line, dir: &Path, settings: &Settings, txns: u32) -> Result<()> {
    let mut writer = Writer::new();
    let mut tree: Option<Tree> = None;
    let mut digests = 0;
    let apache = Peer::Apache(line);
    for (turn, peer) in [apache, peer, apache, peer].into_iter().enumerate() {
        let txns = if turn == 0 { txns } else { txns / 20 };
        let turn = || format!("turn {turn} ({peer})");
        let next =
            one_turn(peer, dir, settings, tree.as_ref(), &mut writer, txns).with_context(turn)?;
        digests += match &tree {
            Some(before) => before.same_digests(&next).with_context(turn)?,
            None => 0,
        };
        tree = Some(next);
    }
    ensure!(
        has_snapshot(&dir.join("data/version-2"))?,
        "no snapshot was written; the run shows too little"
    );
    ensure!(
        line != Line::V3_9 || digests > 0,
        "no zxid whose digest two servers know; the run shows too little"
    );
    Ok(())
}

fn settings(codec: &str, txns: u32) -> Settings {
    let settings = Settings::base()
        .config(format!("maxSessionTimeout={TIMEOUT}"))
        .config("autopurge.purgeInterval=0")
        .property(format!("zookeeper.snapCount={}", (txns / 5).max(100)))
        .property("zookeeper.preAllocSize=1024")
        .property("zookeeper.extendedTypesEnabled=true")
        .property("znode.container.checkIntervalMs=100000000");
    if codec.is_empty() {
        settings
    } else {
        settings.property(format!("zookeeper.snapshot.compression.method={codec}"))
    }
}

/// Starts `peer` on the directory, compares, writes, reads the tree and the digests, kills.
fn one_turn(
    peer: Peer,
    dir: &Path,
    settings: &Settings,
    before: Option<&Tree>,
    writer: &mut Writer,
    txns: u32,
) -> Result<Tree> {
    let server = peer.start(dir, settings)?;
    if let Some(before) = before {
        let now = Tree::of(&server)?;
        before.same(&now)?;
        no_digest_mismatch(&server)?;
    }
    writer.write(&server, txns).context("writing")?;
    let tree = Tree::of(&server)?;
    server.kill()?;
    Ok(tree)
}

fn has_snapshot(dir: &Path) -> Result<bool> {
    let mut names = std::fs::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name());
    // `snapshot.0` is written at the first start.
    Ok(names.any(|name| {
        let name = name.to_string_lossy().into_owned();
        name.starts_with("snapshot.") && !name.starts_with("snapshot.0")
    }))
}

fn no_digest_mismatch(server: &Server) -> Result<()> {
    let mntr = server.word("mntr")?;
    for line in mntr.lines() {
        if let Some(count) = line.strip_prefix("zk_digest_mismatches_count\t") {
            ensure!(
                count == "0",
                "{} met {count} digests that do not fit",
                server.peer()
            );
        }
    }
    Ok(())
}

/// A session that lives through every turn and writes every kind of txn.
struct Writer {
    rng: fastrand::Rng,
    session: Option<Grant>,
    last_zxid: i64,
    xid: i32,
}

impl Writer {
    fn new() -> Self {
        Self {
            rng: fastrand::Rng::with_seed(1),
            session: None,
            last_zxid: 0,
            xid: 0,
        }
    }

    /// Takes the session up again (which the other server opened), and writes.
    fn write(&mut self, server: &Server, txns: u32) -> Result<()> {
        let hello = match &self.session {
            Some(grant) => Hello {
                session: grant.session,
                password: grant.password.clone(),
                last_zxid: self.last_zxid,
                ..Hello::new(TIMEOUT)
            },
            None => Hello::new(TIMEOUT),
        };
        let (mut wire, grant) =
            Wire::connect(server.addr(), &hello)?.context("closed at the handshake")?;
        ensure!(grant.session != 0, "the session is lost");
        self.session = Some(grant);
        let mut left = usize::try_from(txns)?;
        while left > 0 {
            let batch = left.min(PIPELINE);
            self.batch(&mut wire, batch)?;
            left -= batch;
        }
        // A session that ends in the log, with an ephemeral that goes with it.
        let (mut other, _) = Wire::connect(server.addr(), &Hello::new(TIMEOUT))?
            .context("closed at the handshake")?;
        let path = format!("/n/gone-{}", self.xid);
        other.call(1, op::CREATE, &create(&path, b"x", 1))?;
        other.call(2, op::CLOSE_SESSION, &Body::new())?;
        Ok(())
    }

    fn batch(&mut self, wire: &mut Wire, count: usize) -> Result<()> {
        for _ in 0..count {
            self.xid += 1;
            let (op, body) = self.request();
            wire.send(self.xid, op, &body)?;
        }
        for _ in 0..count {
            match wire.receive()? {
                Came::Frame(frame) => self.last_zxid = self.last_zxid.max(frame.zxid),
                Came::Closed => bail!("the connection was closed while writing"),
            }
        }
        Ok(())
    }

    /// Any write, on few enough paths that some fail and leave error txns.
    fn request(&mut self) -> (i32, Body) {
        let node = self.rng.u32(0..5000);
        let path = format!("/n/{}/{node}", node % 50);
        let data = vec![b'd'; self.rng.usize(0..200)];
        match self.rng.u32(0..40) {
            _ if self.xid == 1 => (op::CREATE, create("/n", b"", 0)),
            _ if self.xid <= 51 => (op::CREATE, create(&format!("/n/{}", self.xid - 2), b"", 0)),
            0..14 => (op::CREATE, create(&path, &data, 0)),
            14..16 => (
                op::CREATE2,
                create(&format!("/n/{}/s-", node % 50), &data, 2),
            ),
            16 => (
                op::CREATE,
                create(&format!("/n/{}/e{node}", node % 50), &data, 1),
            ),
            17 => (
                op::CREATE_CONTAINER,
                create(&format!("/n/{}/c{node}", node % 50), &data, 4),
            ),
            18 => (
                op::CREATE_TTL,
                create(&format!("/n/{}/t{node}", node % 50), &data, 5).i64(1 << 38),
            ),
            19..30 => (
                op::SET_DATA,
                Body::new().string(&path).buffer(Some(&data)).i32(-1),
            ),
            30..32 => {
                let acl = [
                    (31, "world", "anyone"),
                    (1, "ip", "10.0.0.0/8"),
                    (node.cast_signed() & 31, "digest", "a:b"),
                ];
                (op::SET_ACL, Body::new().string(&path).acl(&acl).i32(-1))
            }
            32..36 => (op::DELETE, Body::new().string(&path).i32(-1)),
            _ => {
                let element = |body: Body, op: i32| body.i32(op).bool(false).i32(-1);
                let body = element(Body::new(), op::CREATE).raw(&create(&path, &data, 0).0);
                let body = element(body, op::SET_DATA)
                    .string(&format!("/n/{}", node % 50))
                    .buffer(None)
                    .i32(-1);
                (op::MULTI, body.i32(-1).bool(true).i32(-1))
            }
        }
    }
}

fn create(path: &str, data: &[u8], flags: i32) -> Body {
    Body::new()
        .string(path)
        .buffer(Some(data))
        .acl(&[(31, "world", "anyone")])
        .i32(flags)
}

//! The whole tree of a server as clients see it, to be compared with another server's.
//!
//! A [`Tree`] holds data, Stat and ACL of every znode as the bytes of the replies, so that nothing that the protocol shows
//! can differ unseen, and the digests that the server tells (`hash`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use zabra_jute::Reader;

use crate::peer::Server;
use crate::wire::{Body, Came, Hello, Wire, op};

/// Znodes that are asked for before the replies are read.
const PIPELINE: usize = 500;
/// Of the session that reads; it ends when the tree was read.
const TIMEOUT: i32 = 60_000;
/// Written by each server for itself, at its start.
const CONFIG: &str = "/zookeeper/config";
/// Bytes of a Stat on the wire, and where among them mtime is.
const STAT: usize = 68;
const MTIME: std::ops::Range<usize> = 24..32;

/// Every znode as the protocol shows it, and the digests that the server tells.
#[derive(Debug)]
pub struct Tree {
    znodes: BTreeMap<String, Znode>,
    digests: BTreeMap<i64, u64>,
    last_zxid: i64,
}

/// The bodies of getData and getACL, which hold data, Stat and ACL.
#[derive(Debug, PartialEq, Eq)]
pub struct Znode {
    data: Vec<u8>,
    acl: Vec<u8>,
}

impl Tree {
    /// Reads the tree of a standalone server.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of(server: &Server) -> Result<Self> {
        Self::read(server.addr(), &server.word("hash")?)
    }

    /// Walks the tree after a `sync`, many requests at a time, on a session that leaves no trace in the comparison.
    /// `hash` is the server's answer to that word.
    ///
    /// # Errors
    /// The connection ends, or a znode goes away while the tree is read.
    pub fn read(addr: SocketAddr, hash: &str) -> Result<Self> {
        let (mut wire, grant) =
            Wire::connect(addr, &Hello::new(TIMEOUT))?.context("closed at the handshake")?;
        ensure!(grant.session != 0, "no session was granted");
        let synced = wire.call(1, op::SYNC, &Body::new().string("/"))?;
        ensure!(synced.err == 0, "sync: error {}", synced.err);
        let mut znodes = BTreeMap::new();
        let mut last_zxid = 0;
        let mut level = vec!["/".to_owned()];
        while !level.is_empty() {
            let mut below = Vec::new();
            for paths in level.chunks(PIPELINE) {
                for (path, (mut znode, names, zxid)) in
                    paths.iter().zip(read_many(&mut wire, paths)?)
                {
                    if path == CONFIG {
                        znode.forget_mtime();
                    }
                    let base = if path == "/" { "" } else { path };
                    below.extend(names.into_iter().map(|name| format!("{base}/{name}")));
                    znodes.insert(path.clone(), znode);
                    last_zxid = last_zxid.max(zxid);
                }
            }
            level = below;
        }
        wire.call(1, op::CLOSE_SESSION, &Body::new())?;
        Ok(Self {
            znodes,
            digests: digests(hash),
            last_zxid,
        })
    }

    /// Every znode by its path.
    #[must_use]
    pub const fn znodes(&self) -> &BTreeMap<String, Znode> {
        &self.znodes
    }

    /// The epoch of the newest txn in it, or around its reading.
    #[must_use]
    pub const fn epoch(&self) -> i64 {
        self.last_zxid >> 32
    }

    /// The digests of the newest zxid that both servers know are the same. An Apache server that has joined by SNAP tells
    /// others for a while, since it is sent a tree that changes meanwhile and applies part of the changes again.
    ///
    /// # Errors
    /// They are not.
    pub fn same_newest_digest(&self, other: &Self) -> Result<()> {
        let newest = self.digests.iter().rev().find_map(|(zxid, digest)| {
            let theirs = other.digests.get(zxid)?;
            Some((zxid, digest, theirs))
        });
        match newest {
            Some((zxid, digest, theirs)) if digest != theirs => {
                bail!("the digests at 0x{zxid:x} are {digest} and {theirs}")
            }
            _ => Ok(()),
        }
    }

    /// Every znode the same.
    ///
    /// # Errors
    /// The first difference, `self` being what was there before.
    pub fn same(&self, other: &Self) -> Result<()> {
        ensure!(
            other.last_zxid >= self.last_zxid,
            "txns are lost: 0x{:x} after 0x{:x}",
            other.last_zxid,
            self.last_zxid
        );
        for (path, znode) in &self.znodes {
            match other.znodes.get(path) {
                Some(theirs) if theirs == znode => {}
                Some(theirs) => bail!(
                    "{path} differs:\n  before {}\n  now    {}",
                    znode.show(),
                    theirs.show()
                ),
                None => bail!("{path} is gone"),
            }
        }
        match other
            .znodes
            .keys()
            .find(|path| !self.znodes.contains_key(*path))
        {
            Some(path) => bail!("{path} has appeared"),
            None => Ok(()),
        }
    }

    /// The digests of zxids that both servers know are the same. How many such zxids there are.
    ///
    /// # Errors
    /// The first that is not.
    pub fn same_digests(&self, other: &Self) -> Result<usize> {
        let mut known = 0;
        for (zxid, digest) in &self.digests {
            if let Some(theirs) = other.digests.get(zxid) {
                ensure!(
                    theirs == digest,
                    "the digests at 0x{zxid:x} are {digest} and {theirs}"
                );
                known += 1;
            }
        }
        Ok(known)
    }
}

impl Znode {
    /// Its data and Stat.
    ///
    /// # Errors
    /// The server sent something else.
    pub fn decode(&self) -> Result<(Vec<u8>, Stat)> {
        let mut r = Reader::new(&self.data);
        let data = r.buffer()?.unwrap_or_default().to_vec();
        Ok((data, Stat::read(&mut r)?))
    }

    fn forget_mtime(&mut self) {
        for body in [&mut self.data, &mut self.acl] {
            if let Some(stat) = body.len().checked_sub(STAT) {
                body[stat..][MTIME].fill(0);
            }
        }
    }

    fn show(&self) -> String {
        let (data, stat) = self.data.split_at(self.data.len().saturating_sub(STAT));
        let acl = &self.acl[..self.acl.len().saturating_sub(STAT)];
        format!(
            "{:?}\n    Stat {}\n    ACL {:?}",
            String::from_utf8_lossy(data),
            hex(stat),
            String::from_utf8_lossy(acl)
        )
    }
}

/// What a check of a znode needs of its Stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// zxid of its creation.
    pub czxid: i64,
    /// zxid of the last change of its data.
    pub mzxid: i64,
    /// The session that it ends with, or 0.
    pub ephemeral_owner: i64,
    /// zxid of the last change of its children.
    pub pzxid: i64,
}

impl Stat {
    /// Reads a Stat whole.
    ///
    /// # Errors
    /// It is cut short.
    pub fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (czxid, mzxid, _ctime, _mtime) = (r.i64()?, r.i64()?, r.i64()?, r.i64()?);
        let (_version, _cversion, _aversion) = (r.i32()?, r.i32()?, r.i32()?);
        let ephemeral_owner = r.i64()?;
        let (_length, _children) = (r.i32()?, r.i32()?);
        Ok(Self {
            czxid,
            mzxid,
            ephemeral_owner,
            pzxid: r.i64()?,
        })
    }
}

type Read = (Znode, Vec<String>, i64);

fn read_many(wire: &mut Wire, paths: &[String]) -> Result<Vec<Read>> {
    for path in paths {
        wire.send(1, op::GET_DATA, &Body::new().string(path).bool(false))?;
        wire.send(2, op::GET_ACL, &Body::new().string(path))?;
        wire.send(3, op::GET_CHILDREN, &Body::new().string(path).bool(false))?;
    }
    let mut read = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bodies = Vec::new();
        let mut zxid = 0;
        for _ in 0..3 {
            match wire.receive()? {
                Came::Frame(frame) if frame.err == 0 => {
                    zxid = frame.zxid;
                    bodies.push(frame.body);
                }
                Came::Frame(frame) => bail!("{path}: error {}", frame.err),
                Came::Closed => bail!("closed while reading {path}"),
            }
        }
        let mut names = Vec::new();
        let mut r = Reader::new(&bodies[2]);
        for _ in 0..r.count()?.unwrap_or(0) {
            names.push(r.string()?.context("a child without a name")?.into_owned());
        }
        let acl = std::mem::take(&mut bodies[1]);
        let data = std::mem::take(&mut bodies[0]);
        read.push((Znode { data, acl }, names, zxid));
    }
    Ok(read)
}

/// Groups of four bytes.
fn hex(bytes: &[u8]) -> String {
    let group = |group: &[u8]| {
        group
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    bytes.chunks(4).map(group).collect::<Vec<_>>().join(" ")
}

/// The answer to `hash`: a zxid in hex and a digest in decimal per line.
fn digests(text: &str) -> BTreeMap<i64, u64> {
    let line = |line: &str| {
        let (zxid, digest) = line.split_once(": ")?;
        Some((
            i64::from_str_radix(zxid.trim_start_matches("0x"), 16).ok()?,
            digest.trim().parse().ok()?,
        ))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_by_zxid() {
        assert_eq!(
            digests("80: 17\n100: 18\nnone"),
            BTreeMap::from([(0x80, 17), (0x100, 18)])
        );
    }
}

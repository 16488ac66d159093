//! Disks that say something else than was written: a bit flips, a sector is lost, or what was written elsewhere is in its place
//! (I-19).
//!
//! It happens to servers that are down, of voters to a minority: a damaged one may have to be replaced by an empty one. In
//! logs it happens to what a durable mark covers: behind that nobody can tell damage from a write that a crash tore (0003). A
//! server that finds damage in its log asks the others for the very txns, as `zabra-server` does at its election port, before
//! it takes part (0013); what cannot be mended stops its start, and somebody gives it an empty disk.

use std::path::PathBuf;
use std::sync::Arc;

use zabra_storage::{Healing, MarkFile, Vfs, Wound, intact_behind};
use zabra_testkit::disk::{FaultyDisk, SECTOR};

use super::kind;
use crate::check::DamageOutcome;
use crate::disk;
use crate::event::{Event, ServerAt};
use crate::network::Node;
use crate::server::Death;
use crate::start;
use crate::world::World;
use crate::{say, server::Server};

/// So often a damaged server asks the others, if none has what it lacks.
const TRIES_MAX: u32 = 10;
/// Segments, each of which may be damaged once.
const WOUNDS_MAX: usize = 20;

/// What is missing on a disk, before its server can start.
enum Examined {
    /// Nothing.
    Whole,
    /// Txns, which others may have.
    Lacks(Wound),
    /// Something that nobody can give.
    Lost(String),
}

impl World {
    /// A server dies, and something on its disk is not what was written.
    pub(super) fn damage(&mut self, at: ServerAt) {
        if !self.may_lose_disk(at) {
            return;
        }
        self.meets(kind::DAMAGE, at);
        self.die(at, Death::Power, None);
        let is_voter = at < self.around.plan.voters;
        let server = &mut self.servers[at];
        let Some(what) = damage_any(&server.disk, &mut self.around.kernel.rng) else {
            return;
        };
        say!(self.around.kernel, "s{}'s disk: {what}", server.sid);
        server.is_damaged = true;
        server.is_wiped = is_voter;
        server.mend_tries = 0;
    }

    /// Before a damaged server starts: it is mended, or found to be whole in what it needs, or gets an empty disk. Whether it
    /// may start now.
    pub(crate) fn settle_damage(&mut self, at: ServerAt) -> bool {
        let mut outcome = DamageOutcome::Starts;
        for _ in 0..WOUNDS_MAX {
            let wound = match examine(&self.servers[at], &self.around.plan) {
                Examined::Whole => {
                    say!(self.around.kernel, "s{}: damage: {outcome:?}", at + 1);
                    self.servers[at].is_damaged = false;
                    self.around.check.damage_was_met(outcome);
                    return true;
                }
                Examined::Lacks(wound) => wound,
                Examined::Lost(why) => return self.replace_disk(at, &why),
            };
            if self.mend_from_others(at, wound) {
                outcome = DamageOutcome::Mended;
            } else if self.servers[at].mend_tries < TRIES_MAX {
                self.servers[at].mend_tries += 1;
                let delay = self.around.plan.tick_ms * 1000;
                self.around.kernel.after(delay, Event::Start(at));
                return false;
            } else {
                return self.replace_disk(at, "nobody has what is missing");
            }
        }
        self.replace_disk(at, "mended again and again")
    }

    /// The server says what is damaged, and somebody gives it an empty disk.
    fn replace_disk(&mut self, at: ServerAt, why: &str) -> bool {
        let server = &mut self.servers[at];
        say!(self.around.kernel, "s{} does not start: {why}", server.sid);
        server.disk = FaultyDisk::new();
        server.is_damaged = false;
        self.around.check.damage_was_met(DamageOutcome::Refused);
        self.around.check.wiped(at);
        true
    }

    /// Asks every other server that can be reached for what is missing. Whether it is mended.
    fn mend_from_others(&self, at: ServerAt, mut wound: Wound) -> bool {
        let here = &self.servers[at].disk;
        let net = &self.around.net;
        let is_reached = |other: &&Server| {
            let (one, two) = (Node::Server(at), other.node());
            let runs = other.process.is_some() && other.standing_still.is_none();
            runs && other.at != at && !net.is_blocked(one, two) && !net.is_blocked(two, one)
        };
        let mut healed = wound.close(here).unwrap_or(Healing::Misfit);
        for other in self.servers.iter().filter(is_reached) {
            if healed == Healing::Closed {
                break;
            }
            let vfs: Arc<dyn Vfs> = Arc::new(other.disk.clone());
            // Whose own disk fails, or is damaged, has answered as far as it could.
            let asked = wound.lacks();
            let read = intact_behind(&vfs, &disk::dirs(), asked, |_, payload| {
                healed = wound.take(payload, here).unwrap_or(Healing::Misfit);
                matches!(healed, Healing::Lacks | Healing::Took)
            });
            drop(read);
        }
        healed == Healing::Closed
    }
}

/// What a start would find, on a copy of the disk.
fn examine(server: &Server, plan: &crate::plan::Plan) -> Examined {
    let copy = server.disk.copy();
    match start::examine(&copy, plan, server.at) {
        Ok(()) => Examined::Whole,
        Err(error) => match Wound::of(&error, &server.disk, &disk::dirs()) {
            Ok(Some(wound)) if !plan.is_standalone => Examined::Lacks(wound),
            _ => Examined::Lost(error.to_string()),
        },
    }
}

/// Damages one of the files that a server relies on. What was done, if there is such a file.
fn damage_any(disk: &FaultyDisk, rng: &mut fastrand::Rng) -> Option<String> {
    let files = disk.files();
    let dirs = disk::dirs();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.copy());
    let marked = MarkFile::open(vfs, dirs.log()).ok()?.current();
    // Each with how much of it was durable for certain.
    let durable = files.iter().filter_map(|(path, bytes)| {
        let name = path.file_name()?.to_str()?;
        let len = match marked.segment(name) {
            Some(segment) => usize::try_from(segment.len).ok()?.min(bytes.len()),
            None if name.starts_with("snapshot.") || name == EPOCHS => bytes.len(),
            None => 0,
        };
        (len > 0).then(|| (path.clone(), len))
    });
    let durable: Vec<(PathBuf, usize)> = durable.collect();
    let (path, len) = durable.get(rng.usize(0..durable.len().max(1)))?;
    let mut bytes = files.get(path)?.clone();
    let at = rng.usize(0..*len);
    let begin = at / SECTOR_LEN * SECTOR_LEN;
    let sector = begin..(begin + SECTOR_LEN).min(*len);
    let how = match rng.u32(0..3) {
        0 => {
            bytes[at] ^= 1 << rng.u32(0..8);
            "a bit flips"
        }
        1 => {
            bytes[sector].fill(0);
            "a sector was never written"
        }
        _ => {
            // The one before it, or the next.
            let other = sector.start.checked_sub(SECTOR_LEN).unwrap_or(SECTOR_LEN);
            let stale: Vec<u8> = bytes
                .iter()
                .skip(other)
                .take(sector.len())
                .copied()
                .collect();
            bytes[sector.start..sector.start + stale.len()].copy_from_slice(&stale);
            "a sector has what belongs elsewhere"
        }
    };
    let what = format!("{how} at {at} of {}", path.display());
    disk.put(path, bytes);
    Some(what)
}

const SECTOR_LEN: usize = SECTOR as usize;

/// Where a server keeps what it has promised.
const EPOCHS: &str = "zabra-epochs";

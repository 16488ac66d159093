//! Servers killed, paused, cut off and started again, round after round, under a load that checks.
//!
//! What happens in a round is drawn from the seed. After each, everybody serves again without a hand, and every session has
//! been acknowledged a write; every few rounds, and at the end, all trees are held against the journals. That no two
//! leaders commit shows in the zxids of what is acknowledged, which [`crate::load`] checks, and in epochs that only grow.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::ensemble::net::{Hub, Network};
use crate::ensemble::{Ensemble, Plan, Seat, Sid};
use crate::load::Load;
use crate::peer::Peer;
use crate::scene::Scene;

/// Rounds between two verifications.
const VERIFY_EVERY: u32 = 5;

/// Rounds with three and with five servers, one of them `guest` if there is one.
///
/// # Errors
/// Something was not as promised, or the server is missing.
pub fn run(tested: Peer, guest: Option<Peer>, rounds: u32, seed: u64) -> Result<String> {
    Scene::play(
        format_args!("chaos: the client finds what {tested} loses"),
        |dir| lose(dir, tested),
    )?;
    // With three the rounds are quick, so they get the greater part.
    let of_five = rounds / 5;
    for (servers, rounds) in [(3, rounds - of_five), (5, of_five)] {
        let mut seats = vec![Seat::voter(tested); servers];
        if let (Some(guest), Some(last)) = (guest, seats.last_mut()) {
            *last = Seat::voter(guest);
        }
        let kinds = guest.map_or_else(
            || tested.to_string(),
            |guest| format!("{tested}, one of {guest}"),
        );
        let name = format!("chaos: {rounds} rounds with {servers} servers of {kinds}, seed {seed}");
        Scene::play(&name, |dir| {
            // A thread of its own: it moves to another network for good.
            let played = std::thread::scope(|scope| {
                let dir = dir.to_path_buf();
                scope.spawn(move || play(&dir, seats, rounds, seed)).join()
            });
            played.unwrap_or_else(|_| anyhow::bail!("the play panicked"))
        })?;
    }
    Ok(format!("{rounds} rounds"))
}

/// The client itself: a majority that loses its disks loses what was acknowledged, and that must not pass unseen.
fn lose(dir: &Path, tested: Peer) -> Result<String> {
    let plan = Plan::brisk(vec![Seat::voter(tested); 3]);
    let mut ensemble = Ensemble::start(dir, &plan)?;
    let load = Load::start(&ensemble)?;
    load.await_progress()?;
    load.settle()?;
    for sid in ensemble.sids() {
        ensemble.member(sid).kill()?;
    }
    for sid in [1, 2] {
        ensemble.member(sid).wipe()?;
        ensemble.member(sid).start()?;
    }
    ensemble.await_service()?;
    match load.verify_at_rest(&ensemble) {
        Ok(()) => anyhow::bail!("nothing was found"),
        Err(error) => {
            let found = format!("{error:#}");
            ensure!(
                found.contains("is lost"),
                "something else was found: {found}"
            );
            Ok(format!("found: {found}"))
        }
    }
}

fn play(dir: &Path, seats: Vec<Seat>, rounds: u32, seed: u64) -> Result<String> {
    let network = match Hub::enter(u8::try_from(seats.len())?) {
        Ok(hub) => Network::Cuttable(hub),
        Err(error) => {
            println!("interop:   nobody is cut off: {error:#}");
            Network::Loopback
        }
    };
    let plan = Plan::brisk(seats);
    let mut chaos = Chaos {
        rng: fastrand::Rng::with_seed(seed),
        ensemble: Ensemble::start_in(dir, &plan, network)?,
        epoch: 0,
        counts: [0; Fault::ALL.len()],
    };
    let load = Load::start(&chaos.ensemble)?;
    load.await_progress()?;
    for round in 1..=rounds {
        let fault = chaos.draw();
        chaos
            .round(&load, fault)
            .with_context(|| format!("round {round}, {fault:?}"))?;
        if round % VERIFY_EVERY == 0 || round == rounds {
            load.verify(&mut chaos.ensemble)
                .with_context(|| format!("after round {round}, {fault:?}"))?;
        }
    }
    Ok(format!("{}; {}", load.account(), chaos.show()))
}

/// What is done to the servers in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The leader is killed.
    KillLeader,
    /// A follower is killed.
    KillFollower,
    /// The leader is killed and starts again at once.
    RestartLeader,
    /// The leader is asked to end.
    StopLeader,
    /// The leader hangs until there is another one.
    PauseLeader,
    /// The leader hangs for a moment only.
    BlinkLeader,
    /// A follower hangs until the others write without it.
    PauseFollower,
    /// Everybody is killed.
    KillAll,
    /// The leader hangs, and is killed once there is another one.
    PauseAndKillLeader,
    /// The leader reaches no other server, but its clients.
    CutLeader,
    /// A follower reaches no other server, but its clients.
    CutFollower,
    /// A follower does not reach the leader, but the others.
    CutLink,
}

impl Fault {
    const ALL: [Self; 12] = [
        Self::KillLeader,
        Self::KillFollower,
        Self::RestartLeader,
        Self::StopLeader,
        Self::PauseLeader,
        Self::BlinkLeader,
        Self::PauseFollower,
        Self::KillAll,
        Self::PauseAndKillLeader,
        Self::CutLeader,
        Self::CutFollower,
        Self::CutLink,
    ];

    const fn cuts(self) -> bool {
        matches!(self, Self::CutLeader | Self::CutFollower | Self::CutLink)
    }
}

struct Chaos {
    rng: fastrand::Rng,
    ensemble: Ensemble,
    /// The highest epoch that a leader has told.
    epoch: u64,
    counts: [u32; Fault::ALL.len()],
}

impl Chaos {
    /// The next fault that this network allows.
    fn draw(&mut self) -> Fault {
        let cuttable = self.ensemble.network().hub().is_some();
        let allowed: Vec<usize> = (0..Fault::ALL.len())
            .filter(|at| cuttable || !Fault::ALL[*at].cuts())
            .collect();
        let at = allowed[self.rng.usize(0..allowed.len())];
        self.counts[at] += 1;
        Fault::ALL[at]
    }

    fn show(&self) -> String {
        let counted = Fault::ALL.iter().zip(self.counts);
        let shown = counted.map(|(fault, count)| format!("{fault:?} {count}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    fn round(&mut self, load: &Load, fault: Fault) -> Result<()> {
        let leader = self.ensemble.leader()?;
        let follower = self.follower(leader)?;
        match fault {
            Fault::KillLeader => self.without(load, leader)?,
            Fault::KillFollower => self.without(load, follower)?,
            Fault::RestartLeader => {
                self.ensemble.member(leader).kill()?;
                self.ensemble.member(leader).start()?;
            }
            Fault::StopLeader => {
                self.ensemble.member(leader).terminate()?;
                self.served(load)?;
                self.ensemble.member(leader).start()?;
            }
            Fault::PauseLeader => self.hang(load, leader)?,
            Fault::PauseFollower => self.hang(load, follower)?,
            Fault::BlinkLeader => {
                self.ensemble.member(leader).pause()?;
                // Between nothing and longer than the watchers of a leader wait.
                let moment = std::time::Duration::from_millis(self.rng.u64(0..1500));
                std::thread::sleep(moment);
                self.ensemble.member(leader).resume()?;
            }
            Fault::KillAll => {
                for sid in self.ensemble.sids() {
                    self.ensemble.member(sid).kill()?;
                }
                for sid in self.ensemble.sids() {
                    self.ensemble.member(sid).start()?;
                }
            }
            Fault::PauseAndKillLeader => {
                self.ensemble.member(leader).pause()?;
                self.served(load)?;
                self.ensemble.member(leader).kill()?;
                self.ensemble.member(leader).start()?;
            }
            Fault::CutLeader => {
                let others = self.others(leader);
                self.cut(load, leader, &others, Some(leader))?;
            }
            Fault::CutFollower => {
                let others = self.others(follower);
                self.cut(load, follower, &others, None)?;
            }
            Fault::CutLink => self.cut(load, follower, &[leader], None)?,
        }
        self.served(load).context("when all were back")?;
        self.epochs_grow()
    }

    fn others(&self, sid: Sid) -> Vec<Sid> {
        let sids = self.ensemble.sids().into_iter();
        sids.filter(|other| *other != sid).collect()
    }

    fn follower(&mut self, leader: Sid) -> Result<Sid> {
        let followers = self.ensemble.awake_voters(leader);
        ensure!(!followers.is_empty(), "nobody follows");
        Ok(followers[self.rng.usize(0..followers.len())])
    }

    /// Everybody who is awake serves, one of them leads, and all sessions write.
    fn served(&mut self, load: &Load) -> Result<()> {
        self.ensemble.await_service()?;
        load.await_progress()
    }

    fn without(&mut self, load: &Load, sid: Sid) -> Result<()> {
        self.ensemble.member(sid).kill()?;
        self.served(load)
            .with_context(|| format!("without {sid}"))?;
        self.ensemble.member(sid).start()
    }

    fn hang(&mut self, load: &Load, sid: Sid) -> Result<()> {
        self.ensemble.member(sid).pause()?;
        self.served(load)
            .with_context(|| format!("while {sid} hangs"))?;
        self.ensemble.member(sid).resume()
    }

    /// Cuts `sid` off from `others` until all sessions have written again, behind another leader if `led`.
    fn cut(&mut self, load: &Load, sid: Sid, others: &[Sid], led: Option<Sid>) -> Result<()> {
        let hub = self.ensemble.network().hub().context("no network to cut")?;
        hub.cut(sid, others)?;
        let written = match led {
            Some(old) => self.ensemble.await_leader_other_than(old).map(drop),
            None => Ok(()),
        };
        let written = written.and_then(|()| load.await_progress());
        let hub = self.ensemble.network().hub().context("no network to cut")?;
        hub.heal(sid, others)?;
        written.with_context(|| format!("while {sid} was cut off from {others:?}"))
    }

    /// The leader's epoch never falls.
    fn epochs_grow(&mut self) -> Result<()> {
        let leader = self.ensemble.leader()?;
        let srvr = self.ensemble.member(leader).word("srvr")?;
        let zxid = srvr.lines().find_map(|line| line.strip_prefix("Zxid: 0x"));
        let zxid = u64::from_str_radix(zxid.context("no zxid in srvr")?.trim(), 16)?;
        let epoch = zxid >> 32;
        ensure!(
            epoch >= self.epoch,
            "the leader {leader} is in epoch {epoch} after {}",
            self.epoch
        );
        self.epoch = epoch;
        Ok(())
    }
}

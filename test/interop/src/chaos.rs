//! Servers killed, paused, cut off, slowed and started again, on disks that fail and by clocks that leap, round after round, under
//! a load that checks.
//!
//! What happens in a round is drawn from the seed. After each, everybody serves again without a hand, and every session has
//! been acknowledged a write; every few rounds, and at the end, all trees are held against the journals. That no two
//! leaders commit shows in the zxids of what is acknowledged, which [`crate::load`] checks, and in epochs that only grow.
//! What sessions that share everything saw is judged at the end of a run by `zabra-history`.
//!
//! Each run leaves a picture of what was done when in `target/interop/chaos`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use zabra_history::Verdict;

use crate::ensemble::disk as faulty;
use crate::ensemble::net::{Hub, Network};
use crate::ensemble::proxy::Proxies;
use crate::ensemble::{Ensemble, Plan, Seat, Sid};
use crate::load::Load;
use crate::load::witness::Witnesses;
use crate::peer::Peer;
use crate::place;
use crate::scene::Scene;

mod disk;
mod fault;
mod full;
mod timeline;

use fault::Fault;
use timeline::Timeline;

/// Where snapshots fail they must be taken now and then.
const SNAPSHOTS: &str = "zookeeper.snapCount=2000";
/// Rounds between two verifications.
const VERIFY_EVERY: u32 = 5;

/// A run of one ensemble.
#[derive(Clone, Copy, Debug)]
struct Run {
    servers: u8,
    rounds: u32,
    of: Of,
}

/// What suffers in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Servers and their network as a whole.
    Servers,
    /// The links between servers, at which proxies stand.
    Links,
    /// The servers' disks and wall clocks.
    Disks,
}

impl Of {
    const fn faults(self) -> &'static [Fault] {
        match self {
            Self::Servers => Fault::OF_SERVERS,
            Self::Links => Fault::OF_LINKS,
            Self::Disks => Fault::OF_DISKS,
        }
    }

    /// For a name of the run.
    const fn told(self) -> &'static str {
        match self {
            Self::Servers => "",
            Self::Links => ", proxies between them",
            Self::Disks => ", disks and clocks that fail",
        }
    }

    /// For the name of its picture.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Servers => "",
            Self::Links => "-links",
            Self::Disks => "-disks",
        }
    }
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How many rounds, of all runs together.
    pub rounds: u32,
    /// What chooses.
    pub seed: u64,
    /// Only runs of this kind.
    pub only: Option<Of>,
    /// How many servers of another kind sit among those of a run, if it has five; one sits among three.
    pub guests: Option<(Peer, u8)>,
}

/// What all runs have shown.
#[derive(Debug, Default)]
struct Shown {
    counts: BTreeMap<Fault, u32>,
    verdict: Verdict,
    acknowledged: u64,
}

/// Rounds with three and with five servers, some of them guests if there are any: of servers, of links, of disks and clocks.
///
/// # Errors
/// Something was not as promised, or the server is missing.
pub fn run(tested: Peer, script: Script) -> Result<String> {
    let Script { rounds, seed, .. } = script;
    // Now: a play in a network of its own reaches nobody who could send what is missing.
    for (peer, _) in script.guests.into_iter().chain([(tested, 0)]) {
        peer.provide()?;
    }
    let mut runs = runs(rounds, script.only);
    if tested == Peer::Zabra {
        faulty::provide()?;
        faulty::released_takes_none()?;
    } else {
        runs.retain(|run| run.of != Of::Disks);
    }
    if script.only.is_none() {
        Scene::play(
            format_args!("chaos: the client finds what {tested} loses"),
            |dir| lose(dir, tested),
        )?;
        Scene::play(
            format_args!("chaos: a full disk under {tested} refuses writes and loses nothing"),
            |dir| full::play(dir, tested),
        )?;
    }
    let shown = Mutex::new(Shown::default());
    for run in runs {
        let Run {
            servers,
            rounds,
            of,
        } = run;
        let (seats, kinds) = seats(tested, script.guests, servers);
        let name = format!(
            "chaos: {rounds} rounds with {servers} servers of {kinds}{}, seed {seed}",
            of.told()
        );
        Scene::play(&name, |dir| {
            // A thread of its own: it moves to another network for good.
            let played = std::thread::scope(|scope| {
                let dir = dir.to_path_buf();
                let (name, shown) = (&name, &shown);
                let playing = scope.spawn(move || play(&dir, name, seats, run, seed, shown));
                playing.join()
            });
            played.unwrap_or_else(|_| anyhow::bail!("the play panicked"))
        })?;
    }
    let shown = shown.into_inner().unwrap_or_default();
    if script.only.is_none() {
        leave_evidence(&shown, seed)?;
    }
    Ok(format!("{} faults", shown.counts.values().sum::<u32>()))
}

/// So many rounds, parted. With three servers they are quick, and those in which only links suffer are quicker, so they get
/// the greater part.
fn runs(rounds: u32, only: Option<Of>) -> Vec<Run> {
    let (of_disks, of_links) = (rounds / 5, rounds * 2 / 5);
    let of_servers = rounds - of_disks - of_links;
    let kinds = match only {
        Some(of) => vec![(of, rounds)],
        None => vec![
            (Of::Servers, of_servers),
            (Of::Links, of_links),
            (Of::Disks, of_disks),
        ],
    };
    let mut runs = Vec::new();
    for (of, rounds) in kinds {
        let of_five = rounds / 5;
        for (servers, rounds) in [(3, rounds - of_five), (5, of_five)] {
            let run = Run {
                servers,
                rounds,
                of,
            };
            runs.extend((rounds > 0).then_some(run));
        }
    }
    runs
}

/// Who sits where, and how that is told.
fn seats(tested: Peer, guests: Option<(Peer, u8)>, servers: u8) -> (Vec<Seat>, String) {
    let mut seats = vec![Seat::voter(tested); servers.into()];
    let Some((guest, many)) = guests else {
        return (seats, tested.to_string());
    };
    // Never a majority: it is ours that is tested.
    let many = many.min((servers - 1) / 2);
    for seat in seats.iter_mut().rev().take(many.into()) {
        *seat = Seat::voter(guest);
    }
    (seats, format!("{tested}, {many} of {guest}"))
}

/// What `cargo xtask evidence` collects.
fn leave_evidence(shown: &Shown, seed: u64) -> Result<()> {
    let mut text = format!(
        "seed: {seed}\nreal faults: {}\nwrites acknowledged: {}\n",
        shown.counts.values().sum::<u32>(),
        shown.acknowledged
    );
    for (fault, count) in &shown.counts {
        text.push_str(&format!("fault {fault:?}: {count}\n"));
    }
    for (what, count) in &shown.verdict.counts {
        text.push_str(&format!("judged {what}: {count}\n"));
    }
    let dir = place::target().join("evidence");
    std::fs::create_dir_all(&dir)?;
    Ok(std::fs::write(dir.join("chaos.txt"), text)?)
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

fn play(
    dir: &Path,
    name: &str,
    seats: Vec<Seat>,
    run: Run,
    seed: u64,
    shown: &Mutex<Shown>,
) -> Result<String> {
    let mut plan = Plan::brisk(seats);
    if run.of == Of::Disks {
        plan.faulty = true;
        plan.properties.push(SNAPSHOTS.to_owned());
    }
    let (ensemble, proxies) = begin(dir, plan, run)?;
    let mut chaos = Chaos {
        rng: fastrand::Rng::with_seed(seed),
        ensemble,
        proxies,
        epoch: 0,
        refusals_allowed: false,
        counts: BTreeMap::new(),
        timeline: Timeline::new(name.to_owned(), run.servers),
    };
    let load = Load::start(&chaos.ensemble)?;
    let witnesses = Witnesses::start(&chaos.ensemble.addrs())?;
    load.await_progress()?;
    let played = chaos.rounds(&load, &witnesses, run);
    let picture = chaos.draw(run, seed);
    played.with_context(|| format!("the picture: {picture}"))?;
    let verdict = witnesses.judge(chaos.ensemble.is_pure())?;
    let judged: u64 = verdict.counts.values().sum();
    let told = format!(
        "{}; {judged} observations judged; {}; {picture}",
        load.account(),
        chaos.show()
    );
    if let Ok(mut shown) = shown.lock() {
        for (fault, count) in chaos.counts {
            *shown.counts.entry(fault).or_default() += count;
        }
        shown.verdict.add(verdict);
        shown.acknowledged += load.account().acknowledged;
    }
    Ok(told)
}

/// The ensemble, in a network where it can be cut off if the machine allows that.
fn begin(dir: &Path, mut plan: Plan, run: Run) -> Result<(Ensemble, Option<Proxies>)> {
    let proxied = run.of == Of::Links;
    let network = match Hub::enter(run.servers, proxied) {
        Ok(hub) => Network::Cuttable(hub),
        Err(error) => {
            println!("interop:   nobody is cut off: {error:#}");
            Network::Loopback
        }
    };
    if proxied {
        plan.config.push("quorumListenOnAllIPs=true".to_owned());
    }
    let mut ensemble = Ensemble::lay_out(dir, &plan, network)?;
    let ports: Vec<(Sid, [u16; 2])> = ensemble
        .members()
        .iter()
        .map(|member| {
            let at = member.addresses();
            (member.sid(), [at.quorum, at.election])
        })
        .collect();
    let hub = ensemble.network().hub().filter(|_| proxied);
    let proxies = hub.map(|hub| Proxies::start(hub, &ports)).transpose()?;
    ensemble.start_all()?;
    Ok((ensemble, proxies))
}

struct Chaos {
    rng: fastrand::Rng,
    ensemble: Ensemble,
    proxies: Option<Proxies>,
    /// The highest epoch that a leader has told.
    epoch: u64,
    /// Whether a disk was nearly full in this round.
    refusals_allowed: bool,
    counts: BTreeMap<Fault, u32>,
    timeline: Timeline,
}

impl Chaos {
    fn rounds(&mut self, load: &Load, witnesses: &Witnesses, run: Run) -> Result<()> {
        let rounds = run.rounds;
        for round in 1..=rounds {
            let fault = self.draw_fault(run.of)?;
            self.timeline.written(load.account().acknowledged);
            self.round(load, fault)
                .with_context(|| format!("round {round}, {fault:?}"))?;
            self.timeline.written(load.account().acknowledged);
            if round % VERIFY_EVERY == 0 || round == rounds {
                witnesses
                    .while_they_rest(|| load.verify(&mut self.ensemble))
                    .with_context(|| format!("after round {round}, {fault:?}"))?;
            }
        }
        Ok(())
    }

    /// The next fault that this network allows.
    fn draw_fault(&mut self, of: Of) -> Result<Fault> {
        let leader = self.ensemble.leader()?;
        let takes_orders = self.ensemble.is_faulty(leader);
        let hub = self.ensemble.network().hub();
        let allowed: Vec<Fault> = of
            .faults()
            .iter()
            .copied()
            .filter(|fault| hub.is_some() || !fault.cuts())
            .filter(|fault| hub.is_some_and(Hub::can_lose) || !fault.loses())
            .filter(|fault| takes_orders || !fault.is_of_leaders_disk())
            .collect();
        let fault = allowed[self.rng.usize(0..allowed.len())];
        *self.counts.entry(fault).or_default() += 1;
        Ok(fault)
    }

    fn show(&self) -> String {
        let shown = self
            .counts
            .iter()
            .map(|(fault, count)| format!("{fault:?} {count}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Writes the picture; where it is.
    fn draw(&self, run: Run, seed: u64) -> String {
        let dir = place::installed().join("chaos");
        let of = run.of.suffix();
        let file = dir.join(format!("{}{of}-{seed}.svg", run.servers));
        let drawn = std::fs::create_dir_all(&dir)
            .map_err(anyhow::Error::from)
            .and_then(|()| self.timeline.draw(&file));
        match drawn {
            Ok(()) => file.display().to_string(),
            Err(error) => format!("{error:#}"),
        }
    }

    fn round(&mut self, load: &Load, fault: Fault) -> Result<()> {
        let leader = self.ensemble.leader()?;
        let mut follower = self.follower(leader)?;
        if Fault::OF_DISKS.contains(&fault) {
            follower = self.obedient(leader, follower)?;
        }
        let refused = load.refused();
        self.refusals_allowed = false;
        let from = self.timeline.now();
        let done = self.strike(load, fault, leader, follower);
        let struck = fault.strikes(leader, follower, &self.ensemble.sids());
        self.timeline.fault(&struck, from, &format!("{fault:?}"));
        done?;
        self.served(load).context("when all were back")?;
        ensure!(
            self.refusals_allowed || load.refused() == refused,
            "writes were refused, and no disk was nearly full"
        );
        self.epochs_grow()
    }

    fn strike(&mut self, load: &Load, fault: Fault, leader: Sid, follower: Sid) -> Result<()> {
        match fault {
            Fault::KillLeader => self.without(load, leader),
            Fault::KillFollower => self.without(load, follower),
            Fault::RestartLeader => {
                self.ensemble.member(leader).kill()?;
                self.ensemble.member(leader).start()
            }
            Fault::StopLeader => {
                self.ensemble.member(leader).terminate()?;
                self.served(load)?;
                self.ensemble.member(leader).start()
            }
            Fault::PauseLeader => self.hang(load, leader),
            Fault::PauseFollower => self.hang(load, follower),
            Fault::BlinkLeader => {
                self.ensemble.member(leader).pause()?;
                // Between nothing and longer than the watchers of a leader wait.
                self.wait(0..1500);
                self.ensemble.member(leader).resume()
            }
            Fault::KillAll => {
                for sid in self.ensemble.sids() {
                    self.ensemble.member(sid).kill()?;
                }
                for sid in self.ensemble.sids() {
                    self.ensemble.member(sid).start()?;
                }
                Ok(())
            }
            Fault::PauseAndKillLeader => {
                self.ensemble.member(leader).pause()?;
                self.served(load)?;
                self.ensemble.member(leader).kill()?;
                self.ensemble.member(leader).start()
            }
            Fault::CutLeader => {
                let others = self.others(leader);
                self.cut(load, leader, &others, Some(leader))
            }
            Fault::CutFollower => {
                let others = self.others(follower);
                self.cut(load, follower, &others, None)
            }
            Fault::CutLink => self.cut(load, follower, &[leader], None),
            Fault::LoseLeader => self.lose_packets(leader),
            Fault::LoseFollower => self.lose_packets(follower),
            _ if Fault::OF_DISKS.contains(&fault) => {
                self.strike_disks(load, fault, leader, follower)
            }
            _ => self.strike_links(load, fault, leader, follower),
        }
    }

    /// What proxies do between the servers.
    fn strike_links(
        &mut self,
        load: &Load,
        fault: Fault,
        leader: Sid,
        follower: Sid,
    ) -> Result<()> {
        let others = self.others(leader);
        let proxies = self.proxies.as_ref().context("no proxies")?;
        let late_ms = self.rng.u32(5..80);
        match fault {
            Fault::DelayLeader => proxies.delay(leader, late_ms),
            Fault::DelayFollower => proxies.delay(follower, late_ms),
            Fault::ThrottleLeader => proxies.throttle(leader, 64 << 10),
            Fault::ThrottleFollower => proxies.throttle(follower, 8 << 10),
            Fault::ResetLeader => proxies.reset(leader),
            Fault::ResetFollower => proxies.reset(follower),
            Fault::ResetStorm => {
                for _ in 0..self.rng.u32(2..6) {
                    proxies.reset(leader);
                    std::thread::sleep(Duration::from_millis(u64::from(late_ms) * 4));
                }
            }
            Fault::MuteLeader => proxies.mute(leader),
            Fault::DeafLeader => proxies.deafen(leader),
            Fault::MuteFollower => proxies.mute(follower),
            Fault::DeafFollower => proxies.deafen(follower),
            Fault::PartFollowers => {
                let other = others.iter().find(|other| **other != follower);
                proxies.part(follower, *other.context("two servers")?);
            }
            _ => anyhow::bail!("no proxy does this"),
        }
        // One-way silence may leave nobody who can be elected and heard: service is owed when it is over.
        let lasted = if fault.leaves_service() {
            load.await_progress()
        } else {
            self.wait(200..1500);
            Ok(())
        };
        let proxies = self.proxies.as_ref().context("no proxies")?;
        proxies.heal();
        lasted
    }

    fn wait(&mut self, ms: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(ms)));
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

    /// Loses packets of a server for a while. Heartbeats may be late by that, so that service is owed when it is over.
    fn lose_packets(&mut self, sid: Sid) -> Result<()> {
        let of_thousand = self.rng.u32(20..300);
        let hub = self.ensemble.network().hub().context("no network")?;
        hub.lose(sid, of_thousand)?;
        self.wait(500..3000);
        let hub = self.ensemble.network().hub().context("no network")?;
        hub.keep(sid)
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
        self.timeline.leads(leader, epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rounds_are_played_of_every_kind_or_of_one() {
        for rounds in 0..120 {
            let all = |only| runs(rounds, only).iter().map(|run| run.rounds).sum::<u32>();
            assert_eq!(all(None), rounds);
            for of in [Of::Servers, Of::Links, Of::Disks] {
                assert_eq!(all(Some(of)), rounds);
                assert!(runs(rounds, Some(of)).iter().all(|run| run.of == of));
            }
        }
    }

    #[test]
    fn guests_are_never_a_majority() {
        let guests = |many, servers| {
            let (seats, _) = seats(
                Peer::Zabra,
                Some((Peer::Apache(crate::peer::Line::V3_9), many)),
                servers,
            );
            seats.iter().filter(|seat| seat.peer != Peer::Zabra).count()
        };
        assert_eq!(
            [
                guests(1, 3),
                guests(2, 3),
                guests(1, 5),
                guests(2, 5),
                guests(9, 5)
            ],
            [1, 1, 1, 2, 2]
        );
    }
}

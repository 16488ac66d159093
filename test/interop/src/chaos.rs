//! Servers killed, paused, cut off, slowed and started again, round after round, under a load that checks.
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

use crate::ensemble::net::{Hub, Network};
use crate::ensemble::proxy::Proxies;
use crate::ensemble::{Ensemble, Plan, Seat, Sid};
use crate::load::Load;
use crate::load::witness::Witnesses;
use crate::peer::Peer;
use crate::place;
use crate::scene::Scene;

mod fault;
mod full;
mod timeline;

use fault::Fault;
use timeline::Timeline;

/// Rounds between two verifications.
const VERIFY_EVERY: u32 = 5;

/// A run of one ensemble.
#[derive(Clone, Copy, Debug)]
struct Run {
    servers: u8,
    rounds: u32,
    /// Whether proxies stand between the servers, and links suffer instead of servers.
    proxied: bool,
}

/// What all runs have shown.
#[derive(Debug, Default)]
struct Shown {
    counts: BTreeMap<Fault, u32>,
    verdict: Verdict,
    acknowledged: u64,
}

/// Rounds with three and with five servers, one of them `guest` if there is one, and with proxies between them.
///
/// # Errors
/// Something was not as promised, or the server is missing.
pub fn run(tested: Peer, guest: Option<Peer>, rounds: u32, seed: u64) -> Result<String> {
    // Now: a play in a network of its own reaches nobody who could send what is missing.
    for peer in guest.into_iter().chain([tested]) {
        peer.provide()?;
    }
    Scene::play(
        format_args!("chaos: the client finds what {tested} loses"),
        |dir| lose(dir, tested),
    )?;
    Scene::play(
        format_args!("chaos: a full disk under {tested} refuses writes and loses nothing"),
        |dir| full::play(dir, tested),
    )?;
    // With three the rounds are quick, and those in which only links suffer are quicker, so they get the greater part.
    let of_five = rounds / 10;
    let of_links = rounds / 2;
    let run = |servers, rounds, proxied| Run {
        servers,
        rounds,
        proxied,
    };
    let runs = [
        run(3, rounds - of_five - of_links, false),
        run(5, of_five, false),
        run(3, of_links - of_five, true),
        run(5, of_five, true),
    ];
    let shown = Mutex::new(Shown::default());
    for run in runs.into_iter().filter(|run| run.rounds > 0) {
        let Run {
            servers,
            rounds,
            proxied,
        } = run;
        let mut seats = vec![Seat::voter(tested); servers.into()];
        if let (Some(guest), Some(last)) = (guest, seats.last_mut()) {
            *last = Seat::voter(guest);
        }
        let kinds = guest.map_or_else(
            || tested.to_string(),
            |guest| format!("{tested}, one of {guest}"),
        );
        let between = if proxied {
            ", proxies between them"
        } else {
            ""
        };
        let name = format!(
            "chaos: {rounds} rounds with {servers} servers of {kinds}{between}, seed {seed}"
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
    leave_evidence(&shown, seed)?;
    Ok(format!("{} faults", shown.counts.values().sum::<u32>()))
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
    let plan = Plan::brisk(seats);
    let (ensemble, proxies) = begin(dir, plan, run)?;
    let mut chaos = Chaos {
        rng: fastrand::Rng::with_seed(seed),
        ensemble,
        proxies,
        epoch: 0,
        counts: BTreeMap::new(),
        timeline: Timeline::new(name.to_owned(), run.servers),
    };
    let load = Load::start(&chaos.ensemble)?;
    let witnesses = Witnesses::start(&chaos.ensemble.addrs())?;
    load.await_progress()?;
    let played = chaos.rounds(&load, &witnesses, run.rounds);
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
    let network = match Hub::enter(run.servers, run.proxied) {
        Ok(hub) => Network::Cuttable(hub),
        Err(error) => {
            println!("interop:   nobody is cut off: {error:#}");
            Network::Loopback
        }
    };
    if run.proxied {
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
    let hub = ensemble.network().hub().filter(|_| run.proxied);
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
    counts: BTreeMap<Fault, u32>,
    timeline: Timeline,
}

impl Chaos {
    fn rounds(&mut self, load: &Load, witnesses: &Witnesses, rounds: u32) -> Result<()> {
        for round in 1..=rounds {
            let fault = self.draw_fault();
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
    fn draw_fault(&mut self) -> Fault {
        let cuttable = self.ensemble.network().hub().is_some();
        let all = match &self.proxies {
            Some(_) => Fault::OF_LINKS,
            None => Fault::OF_SERVERS,
        };
        let allowed: Vec<Fault> = all
            .iter()
            .copied()
            .filter(|fault| cuttable || !fault.cuts())
            .collect();
        let fault = allowed[self.rng.usize(0..allowed.len())];
        *self.counts.entry(fault).or_default() += 1;
        fault
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
        let links = if run.proxied { "-links" } else { "" };
        let file = dir.join(format!("{}{links}-{seed}.svg", run.servers));
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
        let follower = self.follower(leader)?;
        let from = self.timeline.now();
        let done = self.strike(load, fault, leader, follower);
        let struck = fault.strikes(leader, follower, &self.ensemble.sids());
        self.timeline.fault(&struck, from, &format!("{fault:?}"));
        done?;
        self.served(load).context("when all were back")?;
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

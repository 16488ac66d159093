//! Disks that are slow, full and failing, and clocks that leap.
//!
//! A server whose log cannot be written or synced ends by itself, with exit code 1 and the reason, and what it had not synced is
//! lost with it; started again it is a member like before. Slowness, a lack of space and a wrong wall clock are to be endured:
//! no session is lost by them, and all goes on when they are over.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Chaos;
use super::fault::Fault;
use super::full::{Client, SYSTEM_ERROR};
use crate::ensemble::Sid;
use crate::load::Load;

/// How long a fault may wait for an operation that it can strike.
const STRIKE_LIMIT: Duration = Duration::from_secs(60);
/// What a server says last that cannot write its log.
const NO_LOG: &str = "writing the transaction log failed, this server must stop";
/// What a server says last that cannot note an epoch.
const NO_EPOCH: &str = "the history cannot be changed";
/// What any error of the disk says.
const EIO: &str = "os error 5";
/// The most by which clocks leap, ms: somewhat more than an hour.
const LEAP_MS: i64 = 4_000_000;

impl Chaos {
    /// A server to suffer that takes orders: this one, or another follower.
    pub(super) fn obedient(&mut self, leader: Sid, follower: Sid) -> Result<Sid> {
        if self.ensemble.is_faulty(follower) {
            return Ok(follower);
        }
        let followers = self.ensemble.awake_voters(leader).into_iter();
        let obedient: Vec<Sid> = followers
            .filter(|sid| self.ensemble.is_faulty(*sid))
            .collect();
        ensure!(!obedient.is_empty(), "nobody takes orders");
        Ok(obedient[self.rng.usize(0..obedient.len())])
    }

    /// What disks and clocks do.
    pub(super) fn strike_disks(
        &mut self,
        load: &Load,
        fault: Fault,
        leader: Sid,
        follower: Sid,
    ) -> Result<()> {
        match fault {
            Fault::SlowDiskLeader => self.slow(load, leader),
            Fault::SlowDiskFollower => self.slow(load, follower),
            Fault::StallDiskLeader => self.stall(leader),
            Fault::StallDiskFollower => self.stall(follower),
            Fault::ShortWritesLeader => {
                self.order(leader, &["write * short always"])?;
                self.await_struck(leader)?;
                load.await_progress()?;
                self.heal(leader)
            }
            Fault::SyncErrorLeader => self.end(load, leader, "sync log. lost always", NO_LOG),
            Fault::SyncErrorFollower => self.end(load, follower, "sync log. lost always", NO_LOG),
            Fault::WriteErrorLeader => self.fail_write(load, leader),
            Fault::WriteErrorFollower => self.fail_write(load, follower),
            Fault::CreateErrorAtStart => {
                let how = self.any(&["create log. full once", "create log. eio once"]);
                self.ensemble.member(follower).kill()?;
                self.ensemble.member(follower).start_with(&[how])?;
                self.ended(load, follower, NO_LOG)
            }
            Fault::EpochErrorFollower => {
                let how = self.any(&[
                    "rename zabra-epochs eio once",
                    "create zabra-tmp-acceptedEpoch full once",
                    "sync zabra-tmp-currentEpoch eio once",
                ]);
                self.order(follower, &[how])?;
                self.ensemble.member(leader).kill()?;
                self.ensemble.member(leader).start()?;
                let member = self.ensemble.member(follower);
                member.await_own_end(NO_EPOCH)?;
                member.start()
            }
            Fault::SnapshotErrorLeader => {
                let how = self.any(&[
                    "create zabra-tmp-snapshot. full always",
                    "write zabra-tmp-snapshot. torn always",
                    "rename snapshot. eio always",
                ]);
                self.order(leader, &[how])?;
                self.await_struck(leader)?;
                load.await_progress()?;
                self.heal(leader)
            }
            Fault::NoSpaceLeader => self.fill(load, leader),
            Fault::NoSpaceFollower => self.fill(load, follower),
            Fault::ReadErrorAtStart => self.unreadable(load, follower),
            _ => self.strike_clocks(load, fault, leader, follower),
        }
    }

    fn strike_clocks(
        &mut self,
        load: &Load,
        fault: Fault,
        leader: Sid,
        follower: Sid,
    ) -> Result<()> {
        let ms = self.rng.i64(1_000..LEAP_MS);
        match fault {
            Fault::ClockForwardLeader => self.leap(load, leader, ms),
            Fault::ClockForwardFollower => self.leap(load, follower, ms),
            Fault::ClockBackLeader => self.leap(load, leader, -ms),
            Fault::ClockBackFollower => self.leap(load, follower, -ms),
            Fault::ClockDriftLeader => {
                // From standing still, nearly, to twice as fast.
                let ppm = self.rng.i32(-900_000..1_000_000);
                self.order(leader, &[&format!("clock drift {ppm}")])?;
                load.await_progress()?;
                self.wait(200..2000);
                self.right_clock(leader)
            }
            Fault::ClocksApart => {
                for sid in self.others(leader) {
                    if self.ensemble.is_faulty(sid) {
                        let ms = self.rng.i64(-LEAP_MS..LEAP_MS);
                        self.order(sid, &[&format!("clock step {ms}")])?;
                    }
                }
                self.ensemble.member(leader).kill()?;
                self.served(load)?;
                let ms = self.rng.i64(-LEAP_MS..LEAP_MS);
                let clock = format!("clock step {ms}");
                self.ensemble.member(leader).start_with(&[&clock])
            }
            _ => anyhow::bail!("no disk and no clock does this"),
        }
    }

    fn order(&mut self, sid: Sid, orders: &[&str]) -> Result<()> {
        for order in orders {
            let answer = self.ensemble.member(sid).order(order)?;
            ensure!(answer == "ok", "{sid} answers {answer} to {order}");
        }
        Ok(())
    }

    fn heal(&mut self, sid: Sid) -> Result<()> {
        self.order(sid, &["heal"])
    }

    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.usize(0..of.len())]
    }

    /// Until something was struck.
    fn await_struck(&mut self, sid: Sid) -> Result<()> {
        let began = Instant::now();
        while self.ensemble.member(sid).order("struck")? == "0" {
            ensure!(
                began.elapsed() < STRIKE_LIMIT,
                "{sid} does nothing that the fault could strike"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn slow(&mut self, load: &Load, sid: Sid) -> Result<()> {
        let (sync, write) = (self.rng.u32(20..400), self.rng.u32(1..30));
        let sync = format!("sync * late {sync} always");
        let write = format!("write * late {write} always");
        self.order(sid, &[&sync, &write])?;
        self.await_struck(sid)?;
        load.await_progress()
            .with_context(|| format!("on {sid}: {sync}, {write}"))?;
        self.heal(sid)
    }

    fn stall(&mut self, sid: Sid) -> Result<()> {
        self.order(sid, &["sync log. hang always"])?;
        self.await_struck(sid)?;
        // Shorter and longer than servers and short sessions wait.
        self.wait(200..8000);
        self.heal(sid)
    }

    fn fail_write(&mut self, load: &Load, sid: Sid) -> Result<()> {
        let how = self.any(&[
            "write log. eio always",
            "write log. full always",
            "write log. torn always",
        ]);
        self.end(load, sid, how, NO_LOG)
    }

    /// With this order a server must end.
    fn end(&mut self, load: &Load, sid: Sid, order: &str, said: &str) -> Result<()> {
        self.order(sid, &[order])?;
        self.ended(load, sid, said)
            .with_context(|| format!("with {order}"))
    }

    /// A server must end by itself, and is started again at once or once the others go on without it.
    fn ended(&mut self, load: &Load, sid: Sid, said: &str) -> Result<()> {
        self.ensemble.member(sid).await_own_end(said)?;
        if self.rng.bool() {
            self.served(load)
                .with_context(|| format!("without {sid}"))?;
        }
        self.ensemble.member(sid).start()
    }

    fn unreadable(&mut self, load: &Load, sid: Sid) -> Result<()> {
        let how = self.any(&[
            "read log. eio always",
            "read snapshot. eio always",
            "read zabra-epochs eio always",
        ]);
        self.ensemble.member(sid).kill()?;
        self.ensemble.member(sid).start_with(&[how])?;
        self.ended(load, sid, EIO)
            .with_context(|| format!("with {how}"))
    }

    /// A nearly full disk: writes are refused, reads go on; then there is space again.
    fn fill(&mut self, load: &Load, sid: Sid) -> Result<()> {
        let mut client = Client::open(&mut self.ensemble, sid)?;
        let name = format!("space-{}", self.timeline.now());
        self.order(sid, &["space 1000000"])?;
        let created = client.create_until(&name, SYSTEM_ERROR)?;
        self.refusals_allowed = true;
        client.sync()?;
        for path in &created {
            ensure!(client.exists(path)? == 0, "{path} is not there");
        }
        self.heal(sid)?;
        client
            .create_until(&format!("{name}-again"), 0)
            .context("when there is space again")?;
        client.close()?;
        load.no_violation()
    }

    fn leap(&mut self, load: &Load, sid: Sid, ms: i64) -> Result<()> {
        self.order(sid, &[&format!("clock step {ms}")])?;
        load.await_progress()
            .with_context(|| format!("the clock of {sid} {ms} ms off"))?;
        self.right_clock(sid)
    }

    /// Sets it right, which is another leap, or leaves it wrong until the server starts again.
    fn right_clock(&mut self, sid: Sid) -> Result<()> {
        if self.rng.bool() {
            return Ok(());
        }
        self.order(sid, &["clock right"])
    }
}

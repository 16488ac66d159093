//! The run: servers, load, and what happens meanwhile.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::Sitting;
use super::timeline::{Event, Files, Moment, Second};
use crate::bench::ensemble::{ANSWER_LIMIT, Ensemble};
use crate::bench::generator::{Figures, Generator};
use crate::bench::rows::warm;
use crate::bench::server::Place;
use crate::growth::crowd::Crowd;
use crate::growth::metric;

/// All that was seen.
pub(super) struct Seen {
    /// Operations in a second that the servers can bear.
    pub(super) closed: f64,
    /// Operations in a second that were asked for.
    pub(super) asked: f64,
    /// Of the whole run.
    pub(super) figures: Figures,
    pub(super) seconds: Vec<Second>,
    pub(super) moments: Vec<Moment>,
    /// Sessions that expired, as the leader counts them.
    pub(super) expired: f64,
    /// Snapshots that the leader sent to followers.
    pub(super) sent: f64,
}

/// Starts three servers, finds what they can bear, and lets everything happen under half of that.
pub(super) fn run(
    sitting: &Sitting<'_>,
    place: &Place,
    generator: &Generator,
) -> anyhow::Result<Seen> {
    let kind = sitting.args.peer;
    let mut ensemble = Ensemble::start(place, generator, kind, "tail", SERVERS)?;
    let leader = ensemble.leader_at()?;
    let fill = format!("fill --znodes {}", sitting.args.znodes);
    generator.run(&ensemble.target(), &fill)?;
    warm(generator, &ensemble.target(), sitting.args.quick)?;
    // Sessions are on the leader and the follower that stays.
    let lost = (leader + 1) % SERVERS;
    let target = ensemble.target_of(&[leader, (leader + 2) % SERVERS]);
    let closed = format!("mix -n 64 --duration {}", sitting.seconds_closed);
    let closed = generator.run(&target, &closed)?.of("ops_per_second")?;
    let asked = (closed / 2.0).floor();
    println!(
        "{kind} bears {closed:.0} op/s, and gets {asked:.0} for {} s",
        sitting.seconds
    );
    let before = Counts::of(&ensemble, leader)?;
    let work = format!(
        "mix -n 64 -d {DEPTH} --rate {asked} --duration {} --per-second",
        sitting.seconds
    );
    let load = Load::start(generator, &target, &work)?;
    let mut stage = Stage {
        sitting,
        place,
        leader,
        lost,
        files: (0..SERVERS)
            .map(|at| Files::of(&ensemble.folder_of(at)))
            .collect(),
        ensemble: &mut ensemble,
        crowd: None,
        awaits_join: false,
        awaits_expiry: None,
        moments: Vec::new(),
    };
    let (seconds, figures) = stage.play(load)?;
    let moments = stage.moments;
    let after = Counts::of(&ensemble, leader)?;
    Ok(Seen {
        closed,
        asked,
        figures,
        seconds,
        moments,
        expired: after.expired - before.expired,
        sent: after.sent - before.sent,
    })
}

/// The load generator as it runs.
struct Load {
    child: Child,
    /// What it prints while it runs, each line with its moment.
    lines: Receiver<(Instant, String)>,
    work: String,
}

impl Load {
    fn start(
        generator: &Generator,
        target: &crate::bench::generator::Target,
        work: &str,
    ) -> anyhow::Result<Self> {
        let mut command = generator.command(target, work);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let stderr = child.stderr.take().context("no output of the load")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // Nobody listens any more when the run has failed.
                let _ = sender.send((Instant::now(), line));
            }
        });
        Ok(Self {
            child,
            lines,
            work: work.to_owned(),
        })
    }

    /// Waits for its end and reads what it found.
    fn finish(mut self) -> anyhow::Result<Figures> {
        let mut json = Vec::new();
        let stdout = self
            .child
            .stdout
            .as_mut()
            .context("no output of the load")?;
        stdout.read_to_end(&mut json)?;
        ensure!(
            self.child.wait()?.success(),
            "`zabra bench {}` failed",
            self.work
        );
        Figures::read(&json)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It has ended by itself unless something else failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The servers while things happen to them.
struct Stage<'a> {
    sitting: &'a Sitting<'a>,
    place: &'a Place,
    ensemble: &'a mut Ensemble,
    leader: usize,
    /// The follower that loses its disk.
    lost: usize,
    files: Vec<Files>,
    crowd: Option<Crowd>,
    awaits_join: bool,
    /// How many sessions the leader will have counted as expired.
    awaits_expiry: Option<f64>,
    moments: Vec<Moment>,
}

impl Stage<'_> {
    /// Lets things happen until the load ends; its seconds and what it found.
    fn play(&mut self, load: Load) -> anyhow::Result<(Vec<Second>, Figures)> {
        let mut seconds: Vec<Second> = Vec::new();
        let mut begun: Option<Instant> = None;
        let mut plan = plan(self.sitting).into_iter().peekable();
        loop {
            match load.lines.try_recv() {
                Ok((at, line)) => match Second::parse(&line) {
                    Some(second) => {
                        begun = begun
                            .or(at.checked_sub(Duration::from_secs(u64::from(second.number) + 1)));
                        seconds.push(second);
                    }
                    None => eprintln!("{line}"),
                },
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => std::thread::sleep(PAUSE),
            }
            // Before the first second has passed nothing is to happen.
            let Some(begun) = begun else { continue };
            while let Some((_, action)) = plan.next_if(|(due, _)| begun.elapsed() >= *due) {
                self.act(action, begun)?;
            }
            self.look(begun)?;
        }
        Ok((seconds, load.finish()?))
    }

    fn act(&mut self, action: Action, begun: Instant) -> anyhow::Result<()> {
        match action {
            Action::Open => {
                let all = self.ensemble.target_of(&[self.leader]);
                self.crowd = Some(Crowd::open(&all, SESSIONS, SESSION_TIMEOUT, 0)?);
            }
            Action::Leave => {
                self.crowd = None;
                let counted = Counts::of(self.ensemble, self.leader)?.expired;
                self.awaits_expiry = Some(counted + f64::from(SESSIONS));
                self.note(begun, Event::Left, None);
            }
            Action::Empty => {
                self.ensemble.restart_empty(self.place, self.lost)?;
                self.awaits_join = true;
                self.note(begun, Event::Emptied, Some(self.lost));
            }
        }
        Ok(())
    }

    /// Notes what has happened since the last look.
    fn look(&mut self, begun: Instant) -> anyhow::Result<()> {
        for at in 0..self.files.len() {
            for event in self.files[at].appeared() {
                self.note(begun, event, Some(at));
            }
        }
        if self.awaits_join {
            // It does not listen at first, or does not answer.
            let answer = self
                .ensemble
                .ask(self.lost, "srvr", PAUSE)
                .unwrap_or_default();
            if answer.contains("Mode: follower") {
                self.awaits_join = false;
                self.note(begun, Event::Joined, Some(self.lost));
            }
        }
        if let Some(expected) = self.awaits_expiry
            && Counts::of(self.ensemble, self.leader)?.expired >= expected
        {
            self.awaits_expiry = None;
            self.note(begun, Event::Expired, Some(self.leader));
        }
        Ok(())
    }

    fn note(&mut self, begun: Instant, event: Event, server: Option<usize>) {
        let at = begun.elapsed().as_secs_f64();
        self.moments.push(Moment { at, event, server });
    }
}

/// What is done to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Open sessions that will expire.
    Open,
    /// Let their clients go.
    Leave,
    /// Empty the disk of a follower.
    Empty,
}

/// Everything once in each cycle, in its order.
fn plan(sitting: &Sitting<'_>) -> Vec<(Duration, Action)> {
    let cycle = sitting.cycle;
    let begins = (0..sitting.seconds).step_by(cycle.length as usize);
    let actions = begins.flat_map(|begin| {
        [
            (cycle.open, Action::Open),
            (cycle.leave, Action::Leave),
            (cycle.empty, Action::Empty),
        ]
        .map(|(at, action)| (Duration::from_secs((begin + at).into()), action))
    });
    actions.collect()
}

/// What the leader has counted.
struct Counts {
    expired: f64,
    sent: f64,
}

impl Counts {
    fn of(ensemble: &Ensemble, leader: usize) -> anyhow::Result<Self> {
        let answer = ensemble.ask(leader, "mntr", ANSWER_LIMIT)?;
        let of =
            |name: &str| metric(&answer, name).with_context(|| format!("mntr tells no {name}"));
        if !answer.contains("zk_server_state\tleader") {
            bail!("the leader was lost");
        }
        Ok(Self {
            expired: of("zk_stale_sessions_expired")?,
            sent: of("zk_snap_count")?,
        })
    }
}

/// Servers.
const SERVERS: usize = 3;
/// Requests that a session may have outstanding: so many that a due one hardly ever waits for another.
const DEPTH: u32 = 32;
/// Sessions that expire at once.
const SESSIONS: u32 = 1_000;
/// As short as servers allow.
const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::super::{Args, Cycle};
    use super::*;
    use crate::bench::server::Kind;

    #[test]
    fn each_minute_has_one_of_everything() {
        let args = Args {
            peer: Kind::Zabra,
            minutes: 2,
            znodes: 1_000,
            quick: false,
        };
        let sitting = Sitting {
            args: &args,
            folder: std::path::Path::new(""),
            seconds: 120,
            seconds_closed: 1,
            snap_count: 1,
            cycle: Cycle {
                length: 60,
                open: 1,
                leave: 2,
                empty: 3,
            },
        };
        let plan: Vec<(u64, Action)> = plan(&sitting)
            .into_iter()
            .map(|(at, action)| (at.as_secs(), action))
            .collect();
        let (open, leave, empty) = (Action::Open, Action::Leave, Action::Empty);
        assert_eq!(
            plan,
            [
                (1, open),
                (2, leave),
                (3, empty),
                (61, open),
                (62, leave),
                (63, empty)
            ]
        );
    }
}

//! Three servers of one kind as an ensemble on this machine, and what is measured of them.
//!
//! They share two cores and one disk, and there is no network: the figures are of the work that an ensemble does for a
//! request, not of round trips.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Bench;
use super::generator::{Generator, Target};
use super::rows::{LOADS, load, warm};
use super::server::{Kind, Place, Ports, START_LIMIT, Seat, free_port};
use super::table::{Bar, Comparison};

/// Bars of each load, in operations per second over Apache's; the first set is on the leader (design 6).
pub(crate) const GET: [Bar; 3] = [Bar::None, Bar::None, Bar::RatioFrom(7.0)];
pub(crate) const SET: [Bar; 3] = [
    Bar::RatioFrom(2.5),
    Bar::RatioFrom(3.0),
    Bar::RatioFrom(6.0),
];
pub(crate) const MIX: [Bar; 3] = [Bar::None, Bar::None, Bar::RatioFrom(8.0)];

/// How many servers.
const SERVERS: usize = 3;

/// Both ensembles at once, warm, asked in turn.
pub(super) fn measure(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let [apache, subject] = bench.kinds();
    let ensembles = [
        Ensemble::start(&bench.place, &bench.generator, apache, "three", SERVERS)?,
        Ensemble::start(
            &bench.place,
            &bench.generator,
            subject,
            "three-more",
            SERVERS,
        )?,
    ];
    for ensemble in &ensembles {
        warm(&bench.generator, &ensemble.target(), bench.args.quick)?;
    }
    for (operation, bars) in [("get", GET), ("set", SET), ("mix", MIX)] {
        for ((sessions, depth), bar) in LOADS.into_iter().zip(bars) {
            // A lone session is on the leader: on a follower it would measure where it happens to be.
            let targets = if sessions == 1 {
                [ensembles[0].leader()?, ensembles[1].leader()?]
            } else {
                [ensembles[0].target(), ensembles[1].target()]
            };
            let name = format!("3 servers, {operation} {sessions} × {depth}");
            let work = format!("{operation} -n {sessions} -d {depth}");
            load(bench, comparison, &targets, &name, &work, bar)?;
        }
    }
    Ok(())
}

/// Servers that are members of one ensemble, or one that stands alone. They are killed when it is dropped.
pub(crate) struct Ensemble {
    kind: Kind,
    /// Holds a folder for each of them.
    folder: PathBuf,
    /// Where they listen.
    seats: Vec<Ports>,
    members: Vec<Member>,
}

struct Member {
    port: u16,
    child: Child,
}

impl Ensemble {
    /// Starts so many on empty directories and waits until each answers.
    pub(crate) fn start(
        place: &Place,
        generator: &Generator,
        kind: Kind,
        role: &str,
        servers: usize,
    ) -> anyhow::Result<Self> {
        let folder = place.runs.join(format!("{role}-{kind}").to_lowercase());
        let mut seats = Vec::new();
        let mut taken = Vec::new();
        for _ in 0..servers {
            seats.push(Ports {
                client: take(&mut taken)?,
                quorum: take(&mut taken)?,
                election: take(&mut taken)?,
            });
        }
        // Held until here so that no two are the same.
        drop(taken);
        let mut ensemble = Self {
            kind,
            folder,
            seats,
            members: Vec::new(),
        };
        for at in 0..servers {
            let member = ensemble.spawn(place, at)?;
            ensemble.members.push(member);
        }
        let work = format!("ready --within {START_LIMIT}");
        for member in &ensemble.members {
            let target = Target {
                kind,
                ports: vec![member.port],
                pids: vec![member.child.id()],
            };
            generator.run(&target, &work)?;
        }
        Ok(ensemble)
    }

    fn spawn(&self, place: &Place, at: usize) -> anyhow::Result<Member> {
        let seat = Seat {
            folder: self.folder_of(at),
            at,
            ports: &self.seats,
        };
        Ok(Member {
            port: self.seats[at].client,
            child: place.spawn(self.kind, &[], &seat)?,
        })
    }

    /// Where this one runs.
    pub(crate) fn folder_of(&self, at: usize) -> PathBuf {
        self.folder.join((at + 1).to_string())
    }

    /// Kills this one, takes all that it has on its disk, and starts it again.
    pub(crate) fn restart_empty(&mut self, place: &Place, at: usize) -> anyhow::Result<()> {
        self.members[at].end();
        fs::remove_dir_all(self.folder_of(at).join("data"))?;
        self.members[at] = self.spawn(place, at)?;
        Ok(())
    }

    /// What this one answers to a four-letter word; an error when it does not listen or takes longer.
    pub(crate) fn ask(&self, at: usize, word: &str, within: Duration) -> anyhow::Result<String> {
        ask(self.members[at].port, word.as_bytes(), within)
    }

    /// Some of them alone.
    pub(crate) fn target_of(&self, which: &[usize]) -> Target {
        let members = || which.iter().map(|at| &self.members[*at]);
        Target {
            kind: self.kind,
            ports: members().map(|member| member.port).collect(),
            pids: members().map(|member| member.child.id()).collect(),
        }
    }

    /// All of them.
    pub(crate) fn target(&self) -> Target {
        let all: Vec<usize> = (0..self.members.len()).collect();
        self.target_of(&all)
    }

    /// Sessions on the leader; the time of all counts.
    pub(crate) fn leader(&self) -> anyhow::Result<Target> {
        let ports = vec![self.members[self.leader_at()?].port];
        Ok(Target {
            ports,
            ..self.target()
        })
    }

    /// Which of them leads.
    pub(crate) fn leader_at(&self) -> anyhow::Result<usize> {
        let until = Instant::now() + Duration::from_secs(START_LIMIT);
        while Instant::now() < until {
            for (at, member) in self.members.iter().enumerate() {
                if says_that_it_leads(self.kind, member.port)? {
                    return Ok(at);
                }
            }
        }
        bail!("no server of {} leads", self.kind)
    }
}

impl Member {
    fn end(&mut self) {
        // It may have ended by itself; there is nothing else to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

/// A free port that no later call gives again while what is in `taken` lives.
fn take(taken: &mut Vec<std::net::TcpListener>) -> anyhow::Result<u16> {
    let port = free_port()?;
    taken.push(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?);
    Ok(port)
}

fn says_that_it_leads(kind: Kind, port: u16) -> anyhow::Result<bool> {
    let question: &[u8] = match kind {
        Kind::Etcd => {
            b"POST /v3/maintenance/status HTTP/1.0\r\nHost: etcd\r\nContent-Length: 2\r\n\r\n{}"
        }
        Kind::Apache | Kind::Zabra => b"srvr",
    };
    let answer = ask(port, question, ANSWER_LIMIT)?;
    if kind != Kind::Etcd {
        return Ok(answer.contains("Mode: leader") || answer.contains("Mode: standalone"));
    }
    // It names the leader, and itself.
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let status: serde_json::Value = serde_json::from_str(body).context("etcd's status")?;
    Ok(!status["leader"].is_null() && status["leader"] == status["header"]["member_id"])
}

/// Sends this and reads all that comes; each piece of it may take so long.
pub(crate) fn ask(port: u16, question: &[u8], within: Duration) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(question)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// For an answer of a few kilobytes.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(10);

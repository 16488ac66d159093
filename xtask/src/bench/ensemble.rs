//! Three servers of one kind as an ensemble on this machine, and what is measured of them.
//!
//! They share two cores and one disk, and there is no network: the figures are of the work that an ensemble does for a
//! request, not of round trips.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Bench;
use super::generator::Target;
use super::rows::{LOADS, load, warm};
use super::server::{CONFIG, Kind, START_LIMIT, free_port};
use super::table::{Bar, Comparison};

/// Bars of each load, in operations per second over Apache's; the first set is on the leader (design 6).
const GET: [Bar; 3] = [Bar::None, Bar::None, Bar::RatioFrom(7.0)];
const SET: [Bar; 3] = [
    Bar::RatioFrom(2.5),
    Bar::RatioFrom(3.0),
    Bar::RatioFrom(6.0),
];
const MIX: [Bar; 3] = [Bar::None, Bar::None, Bar::RatioFrom(8.0)];

/// How many servers.
const SERVERS: usize = 3;

/// Both ensembles at once, warm, asked in turn.
pub(super) fn measure(bench: &Bench, comparison: &mut Comparison) -> anyhow::Result<()> {
    let [apache, subject] = bench.kinds();
    let ensembles = [
        Ensemble::start(bench, apache, "three")?,
        Ensemble::start(bench, subject, "three-more")?,
    ];
    for ensemble in &ensembles {
        warm(bench, &ensemble.target())?;
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

/// Servers that are members of one ensemble. They are killed when it is dropped.
struct Ensemble {
    kind: Kind,
    members: Vec<Member>,
}

struct Member {
    port: u16,
    child: Child,
}

impl Ensemble {
    /// Starts them on empty directories and waits until each answers.
    fn start(bench: &Bench, kind: Kind, role: &str) -> anyhow::Result<Self> {
        let folder = bench
            .place
            .runs
            .join(format!("{role}-{kind}").to_lowercase());
        let mut lines = String::new();
        let mut ports = Vec::new();
        let mut taken = Vec::new();
        for id in 1..=SERVERS {
            let [client, quorum, election] =
                [take(&mut taken)?, take(&mut taken)?, take(&mut taken)?];
            writeln!(lines, "server.{id}=127.0.0.1:{quorum}:{election}")?;
            ports.push(client);
        }
        // Held until here so that no two are the same.
        drop(taken);
        let mut ensemble = Self {
            kind,
            members: Vec::new(),
        };
        for (at, port) in ports.into_iter().enumerate() {
            let folder = folder.join((at + 1).to_string());
            let member = Member::start(bench, kind, &folder, at + 1, port, &lines)?;
            ensemble.members.push(member);
        }
        let work = format!("ready --within {START_LIMIT}");
        for member in &ensemble.members {
            let target = Target {
                kind,
                ports: vec![member.port],
                pids: vec![member.child.id()],
            };
            bench.generator.run(&target, &work)?;
        }
        Ok(ensemble)
    }

    /// All of them.
    fn target(&self) -> Target {
        Target {
            kind: self.kind,
            ports: self.members.iter().map(|member| member.port).collect(),
            pids: self
                .members
                .iter()
                .map(|member| member.child.id())
                .collect(),
        }
    }

    /// Sessions on the leader; the time of all counts.
    fn leader(&self) -> anyhow::Result<Target> {
        let until = Instant::now() + Duration::from_secs(START_LIMIT);
        while Instant::now() < until {
            for member in &self.members {
                if says_that_it_leads(member.port)? {
                    let ports = vec![member.port];
                    return Ok(Target {
                        ports,
                        ..self.target()
                    });
                }
            }
        }
        bail!("no server of {} leads", self.kind)
    }
}

impl Member {
    fn start(
        bench: &Bench,
        kind: Kind,
        folder: &Path,
        id: usize,
        port: u16,
        lines: &str,
    ) -> anyhow::Result<Self> {
        let data = folder.join("data");
        fs::create_dir_all(&data)?;
        fs::write(data.join("myid"), format!("{id}\n"))?;
        let config = folder.join("zoo.cfg");
        let text = format!(
            "{CONFIG}dataDir={}\nclientPort={port}\n{lines}",
            data.display()
        );
        fs::write(&config, text)?;
        let log = File::create(folder.join("log"))?;
        let child = bench
            .place
            .command(kind, &[])
            .arg(&config)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {kind}"))?;
        Ok(Self { port, child })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing else to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port that no later call gives again while what is in `taken` lives.
fn take(taken: &mut Vec<std::net::TcpListener>) -> anyhow::Result<u16> {
    let port = free_port()?;
    taken.push(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?);
    Ok(port)
}

fn says_that_it_leads(port: u16) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"srvr")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("Mode: leader"))
}

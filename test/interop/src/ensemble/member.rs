//! One member of an ensemble: its seat, which stays, and its process, which comes and goes.
//!
//! The process is killed, paused, resumed, stopped and started again; another implementation may take the seat. Roles are
//! read from the `srvr` word, as `zkServer.sh status` does.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Form, Plan, Seat, SeatAddresses, Sid, disk};
use crate::peer::{self, Peer};
use crate::place;

/// How long a member may take to end on `SIGTERM`.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How long a member may take to end by itself when it must.
const OWN_END_LIMIT: Duration = Duration::from_secs(60);
/// So many lines at the end of a log tell why a process ended.
const LAST_WORDS: usize = 4;
/// How long a word may take before the member counts as not serving.
const WORD_LIMIT: Duration = Duration::from_millis(1000);

/// What a serving member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows.
    Follower,
    /// It observes.
    Observer,
}

/// One member.
#[derive(Debug)]
pub struct Member {
    sid: Sid,
    peer: Peer,
    observes: bool,
    addresses: SeatAddresses,
    /// Where clients reach it.
    outer: Ipv4Addr,
    dir: PathBuf,
    heap: &'static str,
    properties: Vec<String>,
    /// Whether its disk and clock take orders, as long as it is ours.
    faulty: bool,
    /// What the command line begins with, to run in a network of its own.
    within: Vec<String>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    paused: bool,
}

impl Member {
    pub(super) fn new(sid: Sid, seat: Seat, host: Place, dir: &Path, plan: &Plan) -> Self {
        Self {
            sid,
            peer: seat.peer,
            observes: seat.observes,
            addresses: SeatAddresses {
                host: host.address,
                quorum: 0,
                election: 0,
                client: 0,
            },
            outer: host.outer,
            dir: dir.join(sid.to_string()),
            heap: plan.heap,
            properties: plan.properties.clone(),
            faulty: plan.faulty,
            within: host.within,
            process: None,
        }
    }

    /// Takes three neighbouring ports.
    pub(super) const fn take_ports(&mut self, first: u16) {
        self.addresses.client = first;
        self.addresses.quorum = first + 1;
        self.addresses.election = first + 2;
    }

    /// Writes `myid`, `zoo.cfg` and, if there is to be one, the dynamic file. They are the servers' own afterwards.
    pub(super) fn write_files(&self, plan: &Plan, list: &str) -> Result<()> {
        fs::create_dir_all(self.data())?;
        fs::write(self.data().join("myid"), format!("{}\n", self.sid))?;
        let mut text = format!(
            "tickTime={}\ninitLimit={}\nsyncLimit={}\ndataDir={}\n",
            plan.tick,
            plan.init_limit,
            plan.sync_limit,
            self.data().display()
        );
        match plan.form {
            Form::Static => {
                text.push_str(&format!("clientPort={}\n{list}", self.addresses.client));
                if self.outer != Ipv4Addr::LOCALHOST {
                    text.push_str(&format!("clientPortAddress={}\n", self.outer));
                }
                if self.observes {
                    text.push_str("peerType=observer\n");
                }
            }
            Form::Dynamic => {
                let file = self.dir.join("zoo.cfg.dynamic");
                fs::write(&file, list)?;
                text.push_str(&format!(
                    "dynamicConfigFile={}\nreconfigEnabled=true\nstandaloneEnabled=false\n",
                    file.display()
                ));
            }
        }
        for line in &plan.config {
            text.push_str(line);
            text.push('\n');
        }
        Ok(fs::write(self.config(), text)?)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("zoo.cfg")
    }

    /// Its id.
    #[must_use]
    pub const fn sid(&self) -> Sid {
        self.sid
    }

    /// What runs on its seat.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether it observes.
    #[must_use]
    pub const fn observes(&self) -> bool {
        self.observes
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> SeatAddresses {
        self.addresses
    }

    /// The line that names it in a list of members.
    #[must_use]
    pub fn line(&self, form: Form, observes: bool) -> String {
        let SeatAddresses {
            host,
            quorum,
            election,
            client,
        } = self.addresses;
        let role = if observes { "observer" } else { "participant" };
        let client = match form {
            Form::Static => String::new(),
            Form::Dynamic => format!(";{host}:{client}"),
        };
        format!(
            "server.{}={host}:{quorum}:{election}:{role}{client}",
            self.sid
        )
    }

    /// Its client address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((self.outer, self.addresses.client))
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Whether its disk and clock take orders.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        self.faulty && self.peer == Peer::Zabra
    }

    /// Its directory, with configuration and log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has a process, paused or not.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it has a process that is not paused.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.paused)
    }

    /// Starts the process on whatever is in the directory.
    ///
    /// # Errors
    /// It runs already, or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// Starts the process with a disk and a clock that are wrong from the beginning.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&mut self, orders: &[&str]) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.sid);
        let mut command = self.command()?;
        if self.is_faulty() {
            disk::lay_orders(&self.dir, orders)?;
            command.env(disk::VARIABLE, &self.dir);
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())?;
        command
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command
            .spawn()
            .with_context(|| format!("start {}", self.peer))?;
        self.process = Some(Process {
            child,
            paused: false,
        });
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let plain = self
            .peer
            .command(&self.properties, &self.config(), self.heap)?;
        let program = match self.is_faulty() {
            true => place::faulty_binary().into_os_string(),
            false => plain.get_program().to_owned(),
        };
        let mut command = match self.within.split_first() {
            None => Command::new(program),
            Some((entering, arguments)) => {
                let mut command = Command::new(entering);
                command.args(arguments).arg(program);
                command
            }
        };
        command.args(plain.get_args());
        Ok(command)
    }

    /// Tells its disk or its clock something; what is answered. It is in force from then on.
    ///
    /// # Errors
    /// It does not run, is another implementation, or knows no such order.
    pub fn order(&mut self, order: &str) -> Result<String> {
        let start = Instant::now();
        loop {
            self.ensure_alive()?;
            match disk::tell(&self.dir, order) {
                // It may just have been started.
                Err(error) if start.elapsed() < STOP_LIMIT && error.is::<std::io::Error>() => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                told => return told.with_context(|| format!("order {}: {order}", self.sid)),
            }
        }
    }

    /// Waits until the process has ended by itself, as it must with a disk like this; `said` is in what it says at the end.
    ///
    /// # Errors
    /// It goes on, or ends otherwise.
    pub fn await_own_end(&mut self, said: &str) -> Result<()> {
        let mut process = self.process.take().context("not running")?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = process.child.try_wait()? {
                break status;
            }
            if start.elapsed() > OWN_END_LIMIT {
                self.process = Some(process);
                bail!("{} goes on\n{}", self.sid, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let tail = self.log_tail();
        // Another thread may have had a word after the last one.
        let mut last = tail.lines().rev().take(LAST_WORDS);
        ensure!(
            status.code() == Some(1) && last.any(|line| line.contains(said)),
            "{} ended with {status} instead of code 1 and \"{said}\"\n{tail}",
            self.sid
        );
        Ok(())
    }

    /// Gives the seat to another implementation. The directory stays as it is.
    ///
    /// # Errors
    /// It runs, or the implementation cannot be had.
    pub fn replace(&mut self, peer: Peer) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.sid);
        peer.provide()?;
        self.peer = peer;
        Ok(())
    }

    /// Removes all history, as a new disk has none; `myid` stays.
    ///
    /// # Errors
    /// It runs, or the disk refuses.
    pub fn wipe(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.sid);
        Ok(fs::remove_dir_all(self.data().join("version-2"))?)
    }

    /// Ends the process at once.
    ///
    /// # Errors
    /// It had ended by itself, or does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.ensure_alive()?;
        let mut process = self.process.take().context("not running")?;
        process.child.kill()?;
        process.child.wait()?;
        Ok(())
    }

    /// Pauses the process (`SIGSTOP`).
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self) -> Result<()> {
        self.ensure_alive()?;
        self.signal(Signal::STOP)?;
        let process = self.process.as_mut().context("not running")?;
        process.paused = true;
        let tasks = format!("/proc/{}/task", process.child.id());
        let start = Instant::now();
        // On a busy machine the last thread stops some time after the signal.
        while !all_stopped(&tasks)? {
            ensure!(start.elapsed() < STOP_LIMIT, "{} does not pause", self.sid);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.process.as_mut().context("not running")?.paused = false;
        Ok(())
    }

    /// Asks the process to end (`SIGTERM`) and waits until it has.
    ///
    /// # Errors
    /// It does not end in time, or does not run.
    pub fn terminate(&mut self) -> Result<()> {
        self.ask_to_end()?;
        self.await_end()
    }

    /// Asks the process to end (`SIGTERM`).
    ///
    /// # Errors
    /// It does not run.
    pub fn ask_to_end(&mut self) -> Result<()> {
        self.ensure_alive()?;
        self.signal(Signal::TERM)
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// It does not end in time.
    pub fn await_end(&mut self) -> Result<()> {
        let mut process = self.process.take().context("not running")?;
        let start = Instant::now();
        while process.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_LIMIT {
                process.child.kill()?;
                process.child.wait()?;
                bail!(
                    "{} ({}) does not stop on SIGTERM\n{}",
                    self.sid,
                    self.peer,
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("not running")?;
        let id = i32::try_from(process.child.id())?;
        let id = Pid::from_raw(id).context("process id")?;
        Ok(kill_process(id, signal)?)
    }

    /// The process has not ended by itself.
    ///
    /// # Errors
    /// It has; the message has the end of its log.
    pub fn ensure_alive(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        if let Some(status) = process.child.try_wait()? {
            let (sid, peer, tail) = (self.sid, self.peer, self.log_tail());
            bail!("{sid} ({peer}) has ended by itself: {status}\n{tail}");
        }
        Ok(())
    }

    /// Asks a four-letter word.
    ///
    /// # Errors
    /// No answer in time.
    pub fn word(&self, word: &str) -> Result<String> {
        peer::ask(self.addr(), word, WORD_LIMIT)
            .with_context(|| format!("{} ({}) answering `{word}`", self.sid, self.peer))
    }

    /// Its role, if it serves.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        role_in(&self.word("srvr").ok()?)
    }

    /// The number behind a key of `mntr`.
    ///
    /// # Errors
    /// No answer, or no such key.
    pub fn figure(&self, key: &str) -> Result<u64> {
        let mntr = self.word("mntr")?;
        let line = mntr
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
        let line = line.with_context(|| format!("{} has no {key}", self.peer))?;
        Ok(line.trim().parse()?)
    }

    /// The log of what runs on the seat.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        let name = format!("{}.log", self.peer).replace(' ', "-");
        self.dir.join(name.to_lowercase())
    }

    /// The whole log of what runs on the seat.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// The end of the log, for a message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        peer::log_tail(&self.log_file())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // The process may be gone already; there is nothing else to do about either error.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// Where a member runs: its address, and what its command line begins with.
#[derive(Clone, Debug)]
pub struct Place {
    /// The address by which other members know it.
    pub address: Ipv4Addr,
    /// The address at which clients reach it.
    pub outer: Ipv4Addr,
    /// Empty on the machine's own network.
    pub within: Vec<String>,
}

/// Whether every thread of a process is stopped.
fn all_stopped(tasks: &str) -> Result<bool> {
    for task in fs::read_dir(tasks)? {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else {
            continue;
        };
        // The name stands in brackets and may hold anything.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.bytes().next());
        if state.flatten() != Some(b'T') {
            return Ok(false);
        }
    }
    Ok(true)
}

fn role_in(srvr: &str) -> Option<Role> {
    let mode = srvr.lines().find_map(|line| line.strip_prefix("Mode: "))?;
    match mode.trim() {
        "leader" => Some(Role::Leader),
        "follower" => Some(Role::Follower),
        "observer" => Some(Role::Observer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_serve_has_no_role() {
        assert_eq!(
            role_in("Zxid: 0x1\nMode: leader\nNode count: 5"),
            Some(Role::Leader)
        );
        assert_eq!(
            role_in("This ZooKeeper instance is not currently serving requests\n"),
            None
        );
    }
}

//! The network of an ensemble: loopback, or a network namespace per member around a bridge, where links can be cut.
//!
//! Each namespace is held by a sleeping process and ends with it, so nothing is left on the machine. Only root may do
//! this; [`Hub::enter`] says why not otherwise. Cuts are black holes in the routing tables of a member: packets vanish,
//! nobody is told, connections stay open.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Sid;
use super::member::Place;

/// The network that an ensemble runs in.
#[derive(Debug)]
pub enum Network {
    /// The machine's own loopback.
    Loopback,
    /// Namespaces around a bridge.
    Cuttable(Hub),
}

impl Network {
    /// Where the member `sid` runs.
    pub(super) fn host(&self, sid: Sid) -> Place {
        match self {
            Self::Loopback => Place {
                address: Ipv4Addr::LOCALHOST,
                outer: Ipv4Addr::LOCALHOST,
                within: Vec::new(),
            },
            Self::Cuttable(hub) => Place {
                address: inner(sid),
                outer: hub.outer(sid),
                within: hub.within(sid),
            },
        }
    }

    /// The part of it that can be cut, if it can.
    #[must_use]
    pub const fn hub(&self) -> Option<&Hub> {
        match self {
            Self::Loopback => None,
            Self::Cuttable(hub) => Some(hub),
        }
    }
}

/// A bridge in a namespace of its own, with a namespace for each member tied to it.
#[derive(Debug)]
pub struct Hub {
    /// The bridge's namespace at 0, that of a member at its id.
    holders: Vec<Holder>,
    /// Whether members know each other by addresses at which proxies stand.
    proxied: bool,
    /// Whether the kernel can lose packets.
    loses: bool,
}

impl Hub {
    /// Builds it for `members` members and moves the calling thread, and threads that it starts later, to the bridge.
    /// With `proxied` they reach each other over [`Proxies`](super::proxy::Proxies) only, which must be started first.
    ///
    /// # Errors
    /// The machine does not allow it.
    pub fn enter(members: u8, proxied: bool) -> Result<Self> {
        let address = if proxied { outer } else { inner };
        let hub = Holder::new()?;
        hub.run(&["ip", "link", "set", "lo", "up"])?;
        hub.run(&["ip", "link", "add", "hub", "type", "bridge"])?;
        let bridge = format!("{}/24", address(254));
        hub.run(&["ip", "addr", "add", &bridge, "dev", "hub"])?;
        hub.run(&["ip", "link", "set", "hub", "up"])?;
        let mut holders = Vec::new();
        for sid in 1..=members {
            let holder = Holder::new()?;
            let outer = format!("m{sid}");
            hub.run(&[
                "ip", "link", "add", &outer, "type", "veth", "peer", "name", "eth",
            ])?;
            hub.run(&["ip", "link", "set", "eth", "netns", &holder.id()])?;
            hub.run(&["ip", "link", "set", &outer, "master", "hub"])?;
            hub.run(&["ip", "link", "set", &outer, "up"])?;
            let at = format!("{}/24", address(sid));
            holder.run(&["ip", "link", "set", "lo", "up"])?;
            holder.run(&["ip", "addr", "add", &at, "dev", "eth"])?;
            holder.run(&["ip", "link", "set", "eth", "up"])?;
            for other in (1..=members).filter(|_| proxied) {
                let known = format!("{}/32", inner(other));
                holder.run(&["ip", "addr", "add", &known, "dev", "lo"])?;
            }
            holders.push(holder);
        }
        hub.enter().context("move to the bridge")?;
        holders.insert(0, hub);
        let mut hub = Self {
            holders,
            proxied,
            loses: false,
        };
        let tried = hub.lose(1, 0).and_then(|()| hub.keep(1));
        if let Err(error) = &tried {
            println!("interop:   no packets are lost: {error:#}");
        }
        hub.loses = tried.is_ok();
        Ok(hub)
    }

    /// Whether the kernel has what [`Self::lose`] takes.
    #[must_use]
    pub const fn can_lose(&self) -> bool {
        self.loses
    }

    /// Runs something on a thread in a member's network; threads that it starts stay there.
    pub(super) fn spawn_within(
        &self,
        sid: Sid,
        work: impl FnOnce() -> Result<()> + Send,
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let within = scope.spawn(|| {
                self.holder(sid).enter()?;
                work()
            });
            within
                .join()
                .unwrap_or_else(|_| anyhow::bail!("it panicked"))
        })
    }

    /// Where a member is reached from outside of its network.
    fn outer(&self, sid: Sid) -> Ipv4Addr {
        if self.proxied { outer(sid) } else { inner(sid) }
    }

    fn within(&self, sid: Sid) -> Vec<String> {
        let net = format!("--net={}", self.holder(sid).namespace());
        vec!["nsenter".into(), net, "--".into()]
    }

    fn holder(&self, sid: Sid) -> &Holder {
        &self.holders[usize::from(sid)]
    }

    /// Cuts `sid` off from the members `others`; clients still reach it.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn cut(&self, sid: Sid, others: &[Sid]) -> Result<()> {
        for other in others {
            let route = format!("{}/32", self.outer(*other));
            self.holder(sid)
                .run(&["ip", "route", "add", "blackhole", &route])?;
        }
        Ok(())
    }

    /// Loses this many of a thousand packets that `sid` sends or gets, whoever is at the other end.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn lose(&self, sid: Sid, of_thousand: u32) -> Result<()> {
        let program = dice(of_thousand);
        let holder = self.holder(sid);
        holder.run(&["tc", "qdisc", "add", "dev", "eth", "clsact"])?;
        for side in ["egress", "ingress"] {
            holder.run(&[
                "tc", "filter", "add", "dev", "eth", side, "bpf", "da", "bytecode", &program,
            ])?;
        }
        Ok(())
    }

    /// Takes back what [`Self::lose`] did.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn keep(&self, sid: Sid) -> Result<()> {
        self.holder(sid)
            .run(&["tc", "qdisc", "del", "dev", "eth", "clsact"])
    }

    /// Takes back what [`Self::cut`] did.
    ///
    /// # Errors
    /// The machine refuses.
    pub fn heal(&self, sid: Sid, others: &[Sid]) -> Result<()> {
        for other in others {
            let route = format!("{}/32", self.outer(*other));
            self.holder(sid)
                .run(&["ip", "route", "del", "blackhole", &route])?;
        }
        Ok(())
    }
}

/// A classic BPF program for `tc` that drops this many of a thousand packets. Kernels have it more often than `netem`.
///
/// | Instruction | |
/// |---|---|
/// | `ld rand` | a random word (`SKF_AD_RANDOM`) |
/// | `jge threshold` | above it go on, else drop |
/// | `ret TC_ACT_SHOT`, `ret TC_ACT_UNSPEC` | |
fn dice(of_thousand: u32) -> String {
    let threshold = u64::from(u32::MAX) * u64::from(of_thousand.min(1000)) / 1000;
    format!("4,32 0 0 4294963256,53 1 0 {threshold},6 0 0 2,6 0 0 4294967295")
}

/// A process that sleeps in a network namespace of its own and keeps it alive.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    fn new() -> Result<Self> {
        let mine = std::fs::read_link("/proc/self/ns/net")?;
        let holder = Command::new("unshare")
            .args(["--net", "--", "sleep", "1000000"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run `unshare`")?;
        let mut holder = Self(holder);
        let start = Instant::now();
        // `unshare` runs a moment in our own namespace.
        while std::fs::read_link(holder.namespace()).is_ok_and(|theirs| theirs == mine) {
            ensure!(
                holder.0.try_wait()?.is_none() && start.elapsed() < Duration::from_secs(10),
                "network namespaces are not allowed here"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        ensure!(
            holder.0.try_wait()?.is_none(),
            "network namespaces are not allowed here"
        );
        Ok(holder)
    }

    /// Moves the calling thread here.
    fn enter(&self) -> Result<()> {
        let namespace = std::fs::File::open(self.namespace())?;
        let fd = std::os::fd::AsFd::as_fd(&namespace);
        Ok(move_into_link_name_space(
            fd,
            Some(LinkNameSpaceType::Network),
        )?)
    }

    fn id(&self) -> String {
        self.0.id().to_string()
    }

    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// Runs a command inside.
    fn run(&self, command: &[&str]) -> Result<()> {
        let output = Command::new("nsenter")
            .arg(format!("--net={}", self.namespace()))
            .arg("--")
            .args(command)
            .output()
            .context("run `nsenter`")?;
        ensure!(
            output.status.success(),
            "`{}`: {}",
            command.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may be gone already; there is nothing else to do about either error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address by which members know a member.
pub(super) const fn inner(sid: Sid) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, sid)
}

/// The address at which a member really is, if proxies stand at the other one.
pub(super) const fn outer(sid: Sid) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, sid)
}

//! Members that come and go while a client looks on: reconfiguration, the configuration with its watch, and a client whose
//! servers are those of the configuration.

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Runtime;
use zabra_client::{
    Client, CreateMode, Data, ErrorCode, EventKind, OneshotWatch, Reconfigure, Stat,
};
use zabra_recipes::EnsembleTracker;

use super::{PATIENCE, begin};
use crate::ensemble::{Ensemble, Form, Plan, Role, Seat, Sid};
use crate::peer::Peer;

/// Digest of `super:test`.
const SUPER_DIGEST: &str = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";

/// Whether a leader of this kind changes memberships.
const fn reconfigures(peer: Peer) -> bool {
    matches!(peer, Peer::Apache(_))
}

/// A member is removed, added, made an observer, and a whole membership given; refusals have their codes. What a watch of the
/// configuration hears, what a reply says and what is read afterwards are the same.
pub(super) fn play(runtime: &Runtime, peer: Peer) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut plan = Plan::brisk(vec![Seat::voter(peer); 3]).form(Form::Dynamic);
    plan.properties.push(format!(
        "zookeeper.DigestAuthenticationProvider.superDigest={SUPER_DIGEST}"
    ));
    let mut ensemble = Ensemble::start(dir.path(), &plan)?;
    let leader = ensemble.leader()?;
    let others = ensemble.awake_voters(leader);
    let [victim, other] = others[..] else {
        bail!("{others:?} besides the leader");
    };
    // Away from the one that goes, whose clients go with it.
    let stay = [leader, other].map(|sid| ensemble.member(sid).addr().to_string());
    let builder = Client::builder(&stay.join(",")).auth("digest", "super:test");
    let client = runtime.block_on(begin(builder))?;
    let follower = runtime.block_on(begin(Client::builder(&stay[1])))?;
    let mut scene = Scene {
        runtime,
        ensemble: &mut ensemble,
        client,
        victim,
        tracker: runtime.block_on(async { EnsembleTracker::start(&follower) }),
        follower,
    };
    let played = if reconfigures(peer) {
        scene.play(&stay.join(","))
    } else {
        scene.refused()
    };
    let played = played.and_then(|()| scene.outlives(other));
    runtime.block_on(scene.client.close());
    played.with_context(|| ensemble.show())
}

struct Scene<'a> {
    runtime: &'a Runtime,
    ensemble: &'a mut Ensemble,
    client: Client,
    victim: Sid,
    /// Knows one server at first.
    follower: Client,
    tracker: EnsembleTracker,
}

/// A configuration as it was read, and who hears of the next one.
struct Read {
    version: i64,
    changed: OneshotWatch,
}

impl Scene<'_> {
    /// A leader that changes no membership says so, and the configuration can be read.
    fn refused(&mut self) -> Result<()> {
        self.read(&[1, 2, 3])?;
        self.follows(&[1, 2, 3])?;
        let leaving = Reconfigure {
            leaving: Some(self.victim.to_string()),
            ..Reconfigure::default()
        };
        self.fails(&leaving, ErrorCode::RECONFIG_DISABLED)?;
        self.read(&[1, 2, 3]).map(drop)
    }

    fn play(&mut self, servers: &str) -> Result<()> {
        let victim = self.victim;
        let line = |scene: &mut Self, observes| {
            let member = scene.ensemble.member(victim);
            Some(member.line(Form::Dynamic, observes))
        };
        let (joining, observing) = (line(self, false), line(self, true));
        let rest: Vec<Sid> = (1..=3).filter(|sid| *sid != victim).collect();
        let session = self.client.session();
        let first = self.read(&[1, 2, 3])?;
        let leaving = Reconfigure {
            leaving: Some(victim.to_string()),
            ..Reconfigure::default()
        };
        self.stranger(servers, &leaving)?;
        self.follows(&[1, 2, 3])?;
        let without = self.change(&leaving, &rest, first)?;
        self.follows(&rest)?;

        let stale = Reconfigure {
            joining: joining.clone(),
            from_version: Some(without.version - 1),
            ..Reconfigure::default()
        };
        self.fails(&stale, ErrorCode::BAD_VERSION)?;
        let nonsense = Reconfigure {
            joining: Some("server.9=nowhere".to_owned()),
            ..Reconfigure::default()
        };
        self.fails(&nonsense, ErrorCode::BAD_ARGUMENTS)?;

        let added = Reconfigure {
            joining,
            from_version: Some(without.version),
            ..Reconfigure::default()
        };
        let again = self.change(&added, &[1, 2, 3], without)?;
        self.ensemble.await_role(victim, Role::Follower)?;
        self.follows(&[1, 2, 3])?;
        let changed = Reconfigure {
            joining: observing,
            ..Reconfigure::default()
        };
        let observed = self.change(&changed, &[1, 2, 3], again)?;
        self.ensemble.await_role(victim, Role::Observer)?;
        let lines = (1..=3).map(|sid| self.ensemble.member(sid).line(Form::Dynamic, false));
        let whole = Reconfigure {
            members: Some(lines.collect::<Vec<_>>().join(",")),
            ..Reconfigure::default()
        };
        self.change(&whole, &[1, 2, 3], observed)?;
        self.ensemble.await_role(victim, Role::Follower)?;
        ensure!(
            self.client.session() == session,
            "the session has changed with the members"
        );
        let written = self.client.create("/written", "", CreateMode::Ephemeral);
        self.runtime.block_on(written)?;
        Ok(())
    }

    /// The other client comes to know these servers and no others.
    fn follows(&mut self, members: &[Sid]) -> Result<()> {
        let addresses = members.iter().map(|sid| self.ensemble.member(*sid).addr());
        let expected: Vec<String> = addresses.map(|addr| addr.to_string()).collect();
        let tracker = &mut self.tracker;
        self.runtime.block_on(async {
            let known = async {
                while tracker.servers() != expected {
                    tracker.changed().await?;
                }
                anyhow::Ok(())
            };
            let known = tokio::time::timeout(PATIENCE, known).await;
            known.with_context(|| format!("{expected:?} are not followed"))?
        })
    }

    /// Without the one server that it was told of, the other client goes on in its session.
    fn outlives(&mut self, first: Sid) -> Result<()> {
        let session = self.follower.session();
        self.ensemble.member(first).kill()?;
        self.runtime.block_on(async {
            let written = async {
                loop {
                    let written = self.follower.put("/followed", "", CreateMode::Persistent);
                    match written.await {
                        Err(error) if error.is_retryable() => {}
                        written => return written,
                    }
                }
            };
            let written = tokio::time::timeout(PATIENCE, written).await;
            written.context("the other servers are not found")??;
            ensure!(
                self.follower.session() == session,
                "the session was lost with its first server"
            );
            self.follower.close().await;
            Ok(())
        })
    }

    /// Who is nobody may read the configuration, and not change it.
    fn stranger(&self, servers: &str, change: &Reconfigure) -> Result<()> {
        self.runtime.block_on(async {
            let stranger = begin(Client::builder(servers)).await?;
            stranger.config().await?;
            let refused = stranger.reconfigure(change).await;
            stranger.close().await;
            match refused {
                Err(error) if error.is(ErrorCode::NO_AUTH) => Ok(()),
                other => bail!("a stranger reconfigures: {other:?}"),
            }
        })
    }

    fn fails(&self, change: &Reconfigure, code: ErrorCode) -> Result<()> {
        match self.runtime.block_on(self.client.reconfigure(change)) {
            Err(error) if error.is(code) => Ok(()),
            other => bail!("{other:?} instead of {code} for {change:?}"),
        }
    }

    /// Changes the membership: reply, event and the next read agree.
    fn change(&self, change: &Reconfigure, members: &[Sid], before: Read) -> Result<Read> {
        let version = self.runtime.block_on(async {
            let reply = self.client.reconfigure(change).await;
            let (data, stat) = reply.with_context(|| format!("{change:?}"))?;
            let version = version_of(&data, &stat, members)?;
            let event = tokio::time::timeout(PATIENCE, before.changed).await;
            let event = event.context("a watch of the configuration hears nothing")??;
            ensure!(
                event.kind() == Some(EventKind::NodeDataChanged)
                    && event.path() == Some("/zookeeper/config"),
                "{event:?}"
            );
            anyhow::Ok(version)
        })?;
        let read = self.read(members)?;
        ensure!(
            read.version == version && version > before.version,
            "{:x} was followed by {version:x} in the reply, {:x} is read",
            before.version,
            read.version
        );
        Ok(read)
    }

    fn read(&self, members: &[Sid]) -> Result<Read> {
        self.runtime.block_on(async {
            // The server of this connection may be behind the leader.
            self.client.sync("/").await?;
            let (data, stat, changed) = self.client.config_and_watch().await?;
            let version = version_of(&data, &stat, members)?;
            Ok(Read { version, changed })
        })
    }
}

/// The version at the end of a configuration that has just these members.
fn version_of(data: &Data, stat: &Stat, members: &[Sid]) -> Result<i64> {
    let text = std::str::from_utf8(data)?;
    let (list, version) = text.rsplit_once("version=").context("no version")?;
    let mut found = Vec::new();
    for line in list.lines() {
        let sid = line
            .strip_prefix("server.")
            .and_then(|rest| rest.split_once('='));
        found.push(
            sid.with_context(|| format!("a line {line:?}"))?
                .0
                .parse::<Sid>()?,
        );
    }
    found.sort_unstable();
    ensure!(found == members, "{found:?} instead of {members:?}");
    let version = i64::from_str_radix(version.trim(), 16)?;
    ensure!(stat.version == -1 || stat.version == 0, "{stat:?}");
    Ok(version)
}

//! The differential script test: seeded random scripts, sent in lockstep to Apache 3.9 and to the server under test.
//!
//! Every reply, Stat, event and the order of them is compared; zxids and session ids through a mapping, times not at
//! all, children sorted ([`field`]). At the end of each script the whole tree is compared. A difference is shortened
//! ([`shrink`]) and printed, unless it is decided ([`allow`]).

pub mod allow;
pub mod field;
pub mod generate;
pub mod script;
pub mod shrink;
pub mod twins;

use std::fmt::Write as _;

use anyhow::{Result, bail};
use tempfile::TempDir;

use crate::peer::{Line, Peer, Server, Settings};
use crate::step::step;
use script::Step;
use twins::{Difference, Met};

/// Steps of one script. Short enough to be shortened quickly, long enough for steps to meet.
const SCRIPT: usize = 500;

/// How much to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Seed of the first script; the others follow it.
    pub seed: u64,
    /// Operations in all.
    pub ops: u64,
}

/// Runs the plan against Apache 3.9 and `peer`.
///
/// # Errors
/// A difference that is not decided, or something is missing.
pub fn run(peer: Peer, plan: &Plan) -> Result<String> {
    peer.provide()?;
    let scripts = plan.ops.div_ceil(SCRIPT as u64);
    let name = format!(
        "{scripts} scripts of {SCRIPT} operations, from seed {}",
        plan.seed
    );
    step(name, || {
        let mut pair = Pair::start(peer)?;
        for seed in plan.seed..plan.seed + scripts {
            if let Some(text) = pair.failure(seed)? {
                bail!(
                    "seed {seed}: {text}\nagain with: zabra-interop diff --seed {seed} --ops {SCRIPT}"
                );
            }
        }
        if std::env::var_os("INTEROP_VERBOSE").is_some() {
            for ((op, err), times) in &pair.met.answers {
                println!("  op {op} answered {err}: {times} times");
            }
        }
        Ok(format!(
            "{} operations, {} pairs of operation and error, {} events, no undecided difference",
            scripts * SCRIPT as u64,
            pair.met.answers.len(),
            pair.met.events
        ))
    })
}

/// The two servers.
struct Pair {
    theirs: Server,
    ours: Server,
    /// Scripts run so far; each has a root of its own.
    runs: u32,
    met: Met,
    _dirs: [TempDir; 2],
}

impl Pair {
    fn start(peer: Peer) -> Result<Self> {
        let settings = settings();
        let dirs = [tempfile::tempdir()?, tempfile::tempdir()?];
        let theirs = Peer::Apache(Line::V3_9).start(dirs[0].path(), &settings)?;
        let ours = peer.start(dirs[1].path(), &settings)?;
        Ok(Self {
            theirs,
            ours,
            runs: 0,
            met: Met::default(),
            _dirs: dirs,
        })
    }

    fn run(&mut self, script: &[Step]) -> Result<Option<Difference>> {
        self.runs += 1;
        let root = format!("/r{:07}", self.runs);
        twins::run(
            script,
            &root,
            self.theirs.addr(),
            self.ours.addr(),
            &mut self.met,
        )
    }

    /// The shortest script found in which the servers differ, as text.
    fn failure(&mut self, seed: u64) -> Result<Option<String>> {
        let mut script = generate::script(seed, SCRIPT);
        script.retain(|step| !allow::shows_decided_difference(step));
        let Some(first) = self.run(&script)? else {
            return Ok(None);
        };
        let (least, difference) =
            match shrink::shrink(&script, first.clone(), |script| self.run(script)) {
                Ok(least) => least,
                // The servers may be in no state to run it again; what is known is worth more than why.
                Err(_) => (script[..(first.step + 1).min(script.len())].to_vec(), first),
            };
        let mut text = String::from("the servers differ after\n");
        let from = least.len().saturating_sub(40);
        for step in &least[from..] {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {:.300}", format!("{step:?}"));
        }
        let _ = write!(text, "  {}", difference.text);
        let tail = self.ours.log_tail();
        let _ = write!(
            text,
            "\n  log of ours:\n{}",
            tail.lines().rev().take(5).collect::<Vec<_>>().join("\n")
        );
        Ok(Some(text))
    }
}

fn settings() -> Settings {
    Settings::base()
        .property("zookeeper.extendedTypesEnabled=true")
        .property("zookeeper.enforceQuota=true")
        // Containers and TTL nodes are not swept while a script runs.
        .property("znode.container.checkIntervalMs=100000000")
        .property(
            "zookeeper.DigestAuthenticationProvider.superDigest=super:g9oN2HttPfn8MMWJZ2r45Np/LIA=",
        )
}

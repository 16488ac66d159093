//! kazoo's own test suite, unmodified and through its own harness, with one server, with three, and with an observer.
//!
//! The harness starts `java`. A `java` found first on `PATH` (`kazoo/bin/java`) hands the command line to `zabra server`,
//! or to the real one when the baseline is recorded. The baseline of each [`Cluster`] says what each test came to on
//! Apache ZooKeeper 3.9 and how long it took; every test that passed there must pass on Zabra, except those in
//! the list beside it, which have a reason.

mod shard;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use self::shard::Shard;
use crate::peer::{Line, Peer, free_ports};
use crate::step::step;
use crate::{packages, place};

/// The servers that kazoo's harness starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// One, standalone.
    One,
    /// Three voters, which is the harness' own default.
    Three,
    /// Three voters and an observer.
    Observed,
}

impl Cluster {
    const fn size(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Observed => 4,
        }
    }

    /// The first server that observes; -1 is the harness' word for none.
    const fn observer(self) -> i8 {
        match self {
            Self::One | Self::Three => -1,
            Self::Observed => 4,
        }
    }

    /// Processes of pytest side by side. The suite mostly waits, so it may be more than there are cores.
    const fn shards(self, peer: Peer) -> usize {
        match (self, peer) {
            (Self::One, _) | (_, Peer::Zabra) => 4,
            (_, Peer::Apache(_)) => 2,
        }
    }

    /// What each test came to on Apache.
    fn baseline(self) -> PathBuf {
        place::harness().join(match self {
            Self::One => "kazoo/apache-3.9.txt",
            Self::Three => "kazoo/apache-3.9-three.txt",
            Self::Observed => "kazoo/apache-3.9-observer.txt",
        })
    }

    /// What need not pass, with the reason.
    fn expected(self) -> PathBuf {
        place::harness().join(match self {
            Self::One => "kazoo/expected.txt",
            Self::Three => "kazoo/expected-three.txt",
            Self::Observed => "kazoo/expected-observer.txt",
        })
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one server",
            Self::Three => "three servers",
            Self::Observed => "three servers and an observer",
        })
    }
}

/// What a test came to.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    word: String,
    seconds: f64,
}

type Outcomes = BTreeMap<String, Outcome>;

/// Runs the suite against `peer` and compares with the baseline; with `record`, writes the baseline instead.
///
/// # Errors
/// A test that passes on Apache does not pass, or something is missing.
pub fn run(peer: Peer, cluster: Cluster, record: bool) -> Result<String> {
    let venv = packages::python()?;
    peer.provide()?;
    let baseline = cluster.baseline();
    let known = if record {
        Outcomes::new()
    } else {
        parse(&fs::read_to_string(&baseline)?)?
    };
    let outcomes = step(format_args!("kazoo's tests on {peer}, {cluster}"), || {
        run_shards(peer, cluster, &venv, &known)
    })?;
    if record {
        ensure!(peer != Peer::Zabra, "the baseline is recorded from Apache");
        fs::write(&baseline, render(cluster, &outcomes))?;
        return Ok(format!("{} outcomes recorded", outcomes.len()));
    }
    compare(cluster, &known, &outcomes)
}

fn run_shards(peer: Peer, cluster: Cluster, venv: &Path, known: &Outcomes) -> Result<Outcomes> {
    let dir = tempfile::tempdir()?;
    let count = cluster.shards(peer);
    // All at once: ports that are asked for one by one are free for each who asks until a server listens there.
    let ports = 10 * cluster.size();
    let first_port = free_ports(ports * u16::try_from(count)?)?;
    let mut running = Vec::new();
    for (files, n) in shards(&tests_in(venv)?, known, count).iter().zip(0..) {
        let name = format!("results-{n}");
        let results = dir.path().join(&name);
        let mut pytest = pytest(peer, cluster, venv, first_port + n * ports)?;
        pytest.env("INTEROP_RESULTS", &results);
        pytest.args(files).current_dir(dir.path());
        let log = log_dir()?.join(format!("{name}-of-{}.log", cluster.size()));
        running.push((Shard::start(pytest, log)?, results));
    }
    let mut outcomes = Outcomes::new();
    for (shard, results) in running {
        shard.finish(shard::LIMIT)?;
        outcomes.extend(parse(&fs::read_to_string(&results).unwrap_or_default())?);
    }
    Ok(outcomes)
}

/// The test files of the installed kazoo.
fn tests_in(venv: &Path) -> Result<Vec<PathBuf>> {
    let lib = venv.join("lib");
    let python = fs::read_dir(&lib)?
        .next()
        .context("no Python in the environment")??;
    let tests = python.path().join("site-packages/kazoo/tests");
    let mut files = Vec::new();
    for entry in fs::read_dir(&tests).with_context(|| format!("{}", tests.display()))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("test_") && name.ends_with(".py") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Spreads the files by the time they took: the longest first, each to the shard with the least to do.
fn shards(files: &[PathBuf], known: &Outcomes, count: usize) -> Vec<Vec<PathBuf>> {
    let seconds = |file: &Path| -> f64 {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        1.0 + known
            .iter()
            .filter(|(test, _)| test.starts_with(&*name))
            .map(|(_, o)| o.seconds)
            .sum::<f64>()
    };
    let mut files: Vec<(f64, PathBuf)> = files
        .iter()
        .map(|file| (seconds(file), file.clone()))
        .collect();
    files.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut shards: Vec<(f64, Vec<PathBuf>)> = vec![(0.0, Vec::new()); count];
    for (seconds, file) in files {
        shards.sort_by(|a, b| a.0.total_cmp(&b.0));
        shards[0].0 += seconds;
        shards[0].1.push(file);
    }
    shards.into_iter().map(|(_, files)| files).collect()
}

fn pytest(peer: Peer, cluster: Cluster, venv: &Path, first_port: u16) -> Result<Command> {
    let mut pytest = Command::new(venv.join("bin/python"));
    pytest
        .args(["-m", "pytest", "-q", "-rA", "--timeout=120"])
        .args(["-p", "no:cacheprovider", "-p", "interop_record"])
        .env("PYTHONPATH", place::harness().join("kazoo"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PATH", shim_first()?)
        .env("ZOOKEEPER_VERSION", "3.9.5")
        .env(
            "ZOOKEEPER_CLASSPATH",
            packages::apache(Line::V3_9)?.join("*"),
        )
        .env("ZOOKEEPER_CLUSTER_SIZE", cluster.size().to_string())
        .env(
            "ZOOKEEPER_OBSERVER_START_ID",
            cluster.observer().to_string(),
        )
        .env("ZOOKEEPER_PORT_OFFSET", first_port.to_string())
        // kazoo runs its test of the server's version only there.
        .env("CI", "true");
    match peer {
        Peer::Zabra => pytest
            .env("INTEROP_ZABRA", place::zabra_binary())
            .env_remove("INTEROP_REAL_JAVA"),
        Peer::Apache(_) => pytest.env("INTEROP_REAL_JAVA", real_java()?),
    };
    Ok(pytest)
}

/// Where the output of pytest is kept.
fn log_dir() -> Result<PathBuf> {
    let dir = place::installed().join("kazoo-logs");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn shim_first() -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs =
        std::iter::once(place::harness().join("kazoo/bin")).chain(std::env::split_paths(&path));
    Ok(std::env::join_paths(dirs)?)
}

fn real_java() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("java"))
        .find(|java| java.is_file())
        .context("no java on PATH")
}

fn parse(text: &str) -> Result<Outcomes> {
    let mut outcomes = Outcomes::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let mut words = line.splitn(3, ' ');
        let (Some(word), Some(seconds), Some(test)) = (words.next(), words.next(), words.next())
        else {
            bail!("not an outcome: `{line}`");
        };
        outcomes.insert(
            test.to_owned(),
            Outcome {
                word: word.to_owned(),
                seconds: seconds.parse()?,
            },
        );
    }
    Ok(outcomes)
}

fn render(cluster: Cluster, outcomes: &Outcomes) -> String {
    let mut text = format!(
        "# What each test of kazoo 2.11.0 came to on {cluster} of Apache ZooKeeper 3.9.5, and its seconds.\n\
         # Recorded with `--peer apache --record`.\n",
    );
    for (test, outcome) in outcomes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {:.1} {test}", outcome.word, outcome.seconds);
    }
    text
}

/// Tests that need not pass, with the reason: `name: reason` per line, a name ending in `*` stands for all that begin so.
fn expected(cluster: Cluster) -> Result<Vec<(String, String)>> {
    let path = cluster.expected();
    let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let mut list = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (name, reason) = line
            .split_once(": ")
            .with_context(|| format!("no reason: `{line}`"))?;
        list.push((name.to_owned(), reason.to_owned()));
    }
    Ok(list)
}

fn compare(cluster: Cluster, known: &Outcomes, outcomes: &Outcomes) -> Result<String> {
    let mut expected = expected(cluster)?;
    if TcpStream::connect((Ipv4Addr::LOCALHOST, 2181)).is_ok() {
        println!(
            "interop: kazoo: test_slow_connect is not counted: it wants nobody at port 2181, and somebody is"
        );
        let test = "test_utils.py::TestCreateTCPConnection::test_slow_connect";
        expected.push((test.to_owned(), "somebody listens at port 2181".to_owned()));
    }
    let reason = |test: &str| {
        expected
            .iter()
            .find(|(name, _)| match name.strip_suffix('*') {
                Some(start) => test.starts_with(start),
                None => test == name,
            })
    };
    let (mut passed, mut open, mut bad) = (0, 0, Vec::new());
    for (test, on_apache) in known {
        let here = outcomes
            .get(test)
            .map_or("not run", |outcome| outcome.word.as_str());
        match (here, reason(test)) {
            ("passed", _) => passed += 1,
            (_, Some(_)) => open += 1,
            (_, None) if on_apache.word == "passed" => bad.push(format!("{test}: {here}")),
            (_, None) => bad.push(format!(
                "{test}: {here}, {} on Apache, no reason listed",
                on_apache.word
            )),
        }
    }
    ensure!(
        bad.is_empty(),
        "{} of kazoo's tests (output in {}):\n  {}",
        bad.len(),
        log_dir()?.display(),
        bad.join("\n  ")
    );
    Ok(format!(
        "{passed} of kazoo's {} tests pass, {open} do not and have a reason",
        known.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_reads_back_as_it_was_written() {
        let text = "passed 1.5 test_a.py::A::test_b\nskipped 0.0 test_c.py::test_d[x y]\n";
        let outcomes = parse(text).unwrap();
        assert!(render(Cluster::One, &outcomes).ends_with(text));
    }

    #[test]
    fn the_longest_files_go_to_different_shards() {
        let known = parse("passed 50 a.py::x\npassed 40 b.py::x\npassed 1 c.py::x\n").unwrap();
        let files = ["a.py", "b.py", "c.py"].map(PathBuf::from);
        let shards = shards(&files, &known, 4);
        assert!(shards.iter().all(|files| files.len() <= 1), "{shards:?}");
    }
}

//! A server process on a free port, in a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A server that can be killed and started again on the same data.
pub(crate) struct Server {
    dir: tempfile::TempDir,
    child: Child,
    port: Arc<AtomicU16>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let config = format!(
            "tickTime=100\nminSessionTimeout=200\nmaxClientCnxns=0\nadmin.enableServer=false\n\
             clientPortAddress=127.0.0.1\nclientPort=0\nextendedTypesEnabled=true\nznode.container.checkIntervalMs=600000\n\
             dataDir={}\n",
            data.display()
        );
        std::fs::write(dir.path().join("zoo.cfg"), config).unwrap();
        let port = Arc::new(AtomicU16::new(0));
        let child = run(&dir, &port);
        Self { dir, child, port }
    }

    /// Kills it (`SIGKILL`) and starts it again; the port changes.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.child = run(&self.dir, &self.port);
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.load(Ordering::SeqCst))
    }

    /// Where it listens at the moment.
    pub(crate) fn target(&self) -> Arc<AtomicU16> {
        Arc::clone(&self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(dir: &tempfile::TempDir, port: &AtomicU16) -> Child {
    let mut child = Command::new(binary())
        .args(["server", "-Dzookeeper.extendedTypesEnabled=true"])
        // Small, so that a restart has little to look through.
        .arg("-Dzookeeper.preAllocSize=64")
        .arg(dir.path().join("zoo.cfg"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let found = loop {
        line.clear();
        assert_ne!(
            log.read_line(&mut line).unwrap(),
            0,
            "the server ended at its start"
        );
        if line.contains("listening for clients") {
            break line.trim().rsplit(':').next().unwrap().parse().unwrap();
        }
    };
    port.store(found, Ordering::SeqCst);
    // Its pipe is read to the end, so that it never waits for us.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    child
}

/// The server of this build; built if it is not there.
fn binary() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf();
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    let binary = target.join("debug/zabra");
    if !binary.is_file() {
        let cargo = Command::new(env!("CARGO"))
            .args(["build", "--locked", "-p", "zabra"])
            .current_dir(&root)
            .status();
        assert!(cargo.unwrap().success(), "cargo build -p zabra");
    }
    binary
}

//! etcd as a program: `$ETCD_BIN`, one that is installed, or the one of Debian's package, unpacked below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::shell;

/// The program, after getting it when it is missing.
pub(super) fn provide(folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("ETCD_BIN") {
        return Ok(PathBuf::from(path));
    }
    if version(Path::new("etcd")).is_ok() {
        return Ok(PathBuf::from("etcd"));
    }
    let unpacked = folder.join("etcd");
    let program = unpacked.join("usr/bin/etcd");
    if !program.is_file() {
        std::fs::create_dir_all(&unpacked)?;
        let mut download = Command::new("apt-get");
        download
            .args(["download", "etcd-server"])
            .current_dir(&unpacked);
        shell::run(&mut download, PATIENCE)?.checked("`apt-get download etcd-server`")?;
        let package = std::fs::read_dir(&unpacked)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "deb"))
            .context("apt-get left no package")?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(package).arg(&unpacked);
        shell::run(&mut unpack, PATIENCE)?.checked("dpkg-deb")?;
    }
    version(&program)?;
    Ok(program)
}

/// What it says of itself, as `3.4.23`.
pub(super) fn version(program: &Path) -> anyhow::Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(output.status.success(), "{} fails", program.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .lines()
        .next()
        .and_then(|line| line.split(' ').next_back());
    Ok(version.context("etcd does not say its version")?.to_owned())
}

/// For a few megabytes from a mirror.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

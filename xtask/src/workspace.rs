//! The workspace as cargo sees it: where it is, which crates it has and what they depend on.
//!
//! Read from `cargo metadata`, so nothing here can differ from what is built.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::shell;

/// The checkout in which this task runs.
pub(crate) struct Workspace {
    /// The folder of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

/// A crate of this workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// The folder of its manifest.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]` table.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) is_dev: bool,
}

impl Workspace {
    /// The workspace that this program was built from.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = xtask
            .parent()
            .context("xtask has no parent folder")?
            .to_owned();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A file of the checkout, as text.
    pub(crate) fn read(&self, path: &str) -> anyhow::Result<String> {
        std::fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// The path below the root, with forward slashes, for messages and lists.
    pub(crate) fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    }

    /// The crates of this workspace.
    pub(crate) fn members(&self) -> anyhow::Result<Vec<Package>> {
        let mut cargo = shell::cargo(self);
        cargo.args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ]);
        let output = cargo.output().context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        list(&metadata, "packages")
            .iter()
            .map(Package::from_metadata)
            .collect()
    }

    /// The files that git tracks or would track, sorted.
    pub(crate) fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut git = std::process::Command::new("git");
        git.current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let output = git.output().context("cannot run git")?;
        if !output.status.success() {
            bail!(
                "git ls-files failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut files: Vec<PathBuf> = names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(|name| self.root.join(name))
            .collect();
        files.retain(|file| file.is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }
}

impl Package {
    fn from_metadata(package: &Value) -> anyhow::Result<Self> {
        let manifest = text(package, "manifest_path").context("a package without a manifest")?;
        let folder = Path::new(&manifest)
            .parent()
            .context("a manifest without a folder")?
            .to_owned();
        let dependencies = list(package, "dependencies")
            .iter()
            .filter_map(Dependency::from_metadata)
            .collect();
        Ok(Self {
            name: text(package, "name").context("a package without a name")?,
            folder,
            dependencies,
        })
    }
}

impl Dependency {
    fn from_metadata(dependency: &Value) -> Option<Self> {
        Some(Self {
            name: text(dependency, "name")?,
            is_dev: dependency["kind"] == "dev",
        })
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

//! Cargo's subcommands that do not come with Rust, built once into `target/tools`.
//!
//! They are built without optimization: it takes a minute and a half instead of five, and they run for
//! seconds (`docs/decisions/0002-cargo-tools.md`).

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::shell;
use crate::workspace::Workspace;

/// A program on the Rust registry.
pub(crate) struct Tool {
    /// The package, which is the name of its program too.
    pub(crate) name: &'static str,
    /// The version that is installed, exactly.
    pub(crate) version: &'static str,
    /// Whether its default features are left out.
    pub(crate) bare: bool,
}

/// Checks licences, sources and bans.
pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    bare: true,
};

/// Builds and runs fuzz targets.
pub(crate) const CARGO_FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
    bare: false,
};

impl Tool {
    /// The path of the program, after building it when it is missing or of another version.
    pub(crate) fn path(&self, workspace: &Workspace) -> anyhow::Result<PathBuf> {
        let root = workspace
            .target
            .join("tools")
            .join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        if !program.is_file() {
            let mut install = shell::cargo(workspace);
            install.args(["install", "--quiet", "--locked", "--debug", "--no-track"]);
            install.args(["--config", "profile.dev.debug=false"]);
            if self.bare {
                install.arg("--no-default-features");
            }
            install
                .arg("--root")
                .arg(&root)
                .arg(format!("{}@{}", self.name, self.version));
            // A caller's flags (nightly's sanitizers, `-D warnings`) are not meant for somebody else's program.
            install
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS");
            shell::run(&mut install, Duration::from_secs(15 * 60))?.checked("cargo install")?;
        }
        Ok(program)
    }

    /// A command that runs the program in the root of the workspace.
    pub(crate) fn command(&self, workspace: &Workspace) -> anyhow::Result<Command> {
        let mut command = Command::new(self.path(workspace)?);
        command.current_dir(&workspace.root);
        Ok(command)
    }
}

//! Installs the peers and clients under the build folder, from the ordinary package clients (`mvn`, `pip`).
//!
//! Each installation leaves a stamp with the text it was made from, so a warm cache costs nothing and a changed
//! `pom.xml` or requirements file installs again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::peer::Line;
use crate::place;
use crate::step::{Missing, step};

/// The folder with the jars of one Apache line, installed if need be.
///
/// # Errors
/// [`Missing`] when there is no Maven or Java or the packages cannot be had.
pub fn apache(line: Line) -> Result<PathBuf> {
    jars(
        &format!("apache-{line}"),
        &format!("Apache ZooKeeper {line}"),
    )
}

/// The folder with the jars of Apache Curator, installed if need be.
///
/// # Errors
/// As [`apache`].
pub fn curator() -> Result<PathBuf> {
    jars("curator", "Apache Curator")
}

/// The jars that the `pom.xml` of a peer names.
fn jars(name: &str, what: &str) -> Result<PathBuf> {
    let pom = place::harness().join("peers").join(name).join("pom.xml");
    let text = fs::read_to_string(&pom).with_context(|| format!("{}", pom.display()))?;
    let jars = place::installed().join(name);
    if installed_from(&jars, &text) {
        return Ok(jars);
    }
    step(format_args!("install {what}"), || {
        require("java", "-version")?;
        require("mvn", "-version")?;
        let fresh = place::installed().join(format!("{name}.new"));
        let _ = fs::remove_dir_all(&fresh);
        let mut mvn = Command::new("mvn");
        mvn.args(["--batch-mode", "--quiet"])
            .arg(format!(
                "-Dmaven.repo.local={}",
                place::installed().join("m2").display()
            ))
            .arg(format!("-DoutputDirectory={}", fresh.display()))
            .arg("-DincludeScope=runtime")
            .arg("-f")
            .arg(&pom)
            .arg("dependency:copy-dependencies");
        run(&mut mvn)?;
        replace(&fresh, &jars, &text)?;
        Ok(jars)
    })
}

/// The Python environment with kazoo and what its test suite needs, installed if need be.
///
/// # Errors
/// [`Missing`] when there is no Python or the packages cannot be had.
pub fn python() -> Result<PathBuf> {
    let requirements = place::harness().join("kazoo/requirements.txt");
    let text = fs::read_to_string(&requirements)?;
    let venv = place::installed().join("venv");
    if installed_from(&venv, &text) {
        return Ok(venv);
    }
    step("install kazoo and its test tools", || {
        require("python3", "--version")?;
        let _ = fs::remove_dir_all(&venv);
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(venv.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(&requirements))?;
        fs::write(venv.join("stamp"), &text)?;
        Ok(venv)
    })
}

fn installed_from(dir: &Path, text: &str) -> bool {
    fs::read_to_string(dir.join("stamp")).is_ok_and(|stamp| stamp == text)
}

/// Puts a complete installation in place with one rename, so that an interrupted one is never taken for whole.
fn replace(fresh: &Path, dir: &Path, text: &str) -> Result<()> {
    fs::write(fresh.join("stamp"), text)?;
    let _ = fs::remove_dir_all(dir);
    fs::rename(fresh, dir).with_context(|| format!("move {} in place", fresh.display()))
}

fn require(tool: &str, version: &str) -> Result<()> {
    match Command::new(tool).arg(version).output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Missing(format!("`{tool}` is not on this machine")).into()),
    }
}

/// Runs an installer; its failure counts as something missing, with the last words it said.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    let first = said
        .lines()
        .find(|line| line.to_ascii_lowercase().contains("error"))
        .unwrap_or("no message");
    let program = command.get_program().to_string_lossy().into_owned();
    if said.is_empty() {
        bail!("`{program}` failed without a word: {}", output.status);
    }
    Err(Missing(format!("`{program}` could not install: {first}")).into())
}

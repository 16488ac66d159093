//! `zabra initialize`: empty data directories for a first start.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zabra_config::properties::Properties;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The zoo.cfg that names the directories
    #[arg(long, overrides_with = "configfile")]
    configfile: PathBuf,
    /// This server's id in its ensemble
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..))]
    myid: Option<u8>,
    /// Remove what is there
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match initialize(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Texts are those of Apache's script (TL-20).
fn initialize(args: &Args) -> Result<(), String> {
    let config = args.configfile.display();
    let bytes = fs::read(&args.configfile).map_err(|_| format!("Unable to find config file at {config}"))?;
    let properties = Properties::parse(&config.to_string(), &bytes).map_err(|error| error.to_string())?;
    let last = |key: &str| properties.entries().iter().rev().find(|e| e.key.trim() == key).map(|e| e.value.trim());
    let data_dir = last("dataDir").map(Path::new);
    let data_dir = data_dir.ok_or_else(|| format!("Unable to determine dataDir from {config}"))?;
    let log_dir = last("dataLogDir").map(Path::new);
    let dirs: Vec<(&str, &Path)> =
        [("data", Some(data_dir)), ("txnlog", log_dir)].into_iter().filter_map(|(what, dir)| Some((what, dir?))).collect();
    if args.force {
        println!("Force enabled, data/txnlog directories will be re-initialized");
    } else if let Some((what, dir)) = dirs.iter().find(|(_, dir)| dir.join("version-2").exists()) {
        return Err(format!(
            "ZooKeeper {what} directory already exists at {} (or use --force to force re-initialization)",
            dir.display()
        ));
    }
    for (_, dir) in &dirs {
        empty(dir)?;
    }
    match args.myid {
        Some(myid) => {
            println!("Using myid of {myid}");
            write(&data_dir.join("myid"), format!("{myid}\n").as_bytes())?;
        }
        None => println!(
            "No myid provided, be sure to specify it in {} if using non-standalone",
            data_dir.join("myid").display()
        ),
    }
    write(&data_dir.join("initialize"), b"")
}

/// Only what belongs to a server is removed: the directory itself may have been set up with care.
fn empty(dir: &Path) -> Result<(), String> {
    let version_2 = dir.join("version-2");
    let gone = |result: std::io::Result<()>, path: &Path| match result {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", path.display())),
        _ => Ok(()),
    };
    gone(fs::remove_file(dir.join("myid")), &dir.join("myid"))?;
    gone(fs::remove_dir_all(&version_2), &version_2)?;
    fs::create_dir_all(&version_2).map_err(|e| format!("cannot create {}: {e}", version_2.display()))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    fs::write(path, content).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

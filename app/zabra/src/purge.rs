//! `zabra purge`: what `zkCleanup.sh` does.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use zabra_storage::tools::{ToolFailure, write_purged};
use zabra_storage::{DataDirs, PurgeOptions, RealVfs, Vfs, purge};

use crate::tool_end;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many snapshots stay, at least 3
    #[arg(short = 'n', long)]
    count: usize,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// The data directory; with a directory of their own for logs, that one first
    #[arg(value_name = "DIR", required = true, num_args = 1..=2)]
    dirs: Vec<PathBuf>,
}

/// Fewer snapshots than this are never kept (TL-21).
const COUNT_MIN: usize = 3;

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.count < COUNT_MIN {
        eprintln!("count should be greater than or equal to {COUNT_MIN}");
        return ExitCode::FAILURE;
    }
    if let Some(missing) = args.dirs.iter().find(|dir| !dir.exists()) {
        println!("Path '{}' does not exist. ", missing.display());
        return ExitCode::FAILURE;
    }
    tool_end(remove(args))
}

fn remove(args: &Args) -> Result<(), ToolFailure> {
    let dirs = match args.dirs.as_slice() {
        [logs, snapshots, ..] => DataDirs::new(snapshots, Some(logs)),
        [both] => DataDirs::new(both, None),
        [] => return Ok(()),
    };
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let options = PurgeOptions {
        keep: args.count,
        leased: None,
        dry_run: args.dry_run,
    };
    let purged = purge(&vfs, &dirs, &options, None)?;
    write_purged(&purged, &mut io::stdout().lock())?;
    Ok(())
}

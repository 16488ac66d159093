//! `zabra snapshot`: what `zkSnapShotToolkit.sh` does.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use zabra_storage::RealVfs;
use zabra_storage::tools::{SnapshotFormat, print_snapshot};

use crate::tool_end;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the data of each znode, in base64
    #[arg(short, long, conflicts_with = "json")]
    data: bool,
    /// Print nested arrays
    #[arg(long)]
    json: bool,
    /// A snapshot file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let format = match (args.data, args.json) {
        (_, true) => SnapshotFormat::Json {
            now: i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX),
        },
        (true, false) => SnapshotFormat::TextWithData,
        (false, false) => SnapshotFormat::Text,
    };
    tool_end(print_snapshot(
        &RealVfs,
        &args.file,
        format,
        &mut io::BufWriter::new(io::stdout().lock()),
    ))
}

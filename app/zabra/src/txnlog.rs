//! `zabra txnlog`: what `zkTxnLogToolkit.sh` does.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use zabra_storage::RealVfs;
use zabra_storage::tools::{DumpOptions, chop_txn_log, dump_txn_log};

use crate::tool_end;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print all transactions; this is what happens without any option
    #[arg(short, long)]
    dump: bool,
    /// Write FILE.fixed, with right checksums where the answers agree
    #[arg(short, long)]
    recover: bool,
    /// While repairing, print all transactions and not only the repaired ones
    #[arg(short, long)]
    verbose: bool,
    /// Repair without asking
    #[arg(short, long)]
    yes: bool,
    /// Write `FILE.chopped` followed by the zxid, with the transactions up to --zxid
    #[arg(short, long, requires = "zxid")]
    chop: bool,
    /// Where to cut, decimal or 0x hexadecimal
    #[arg(short, long, value_parser = parse_zxid)]
    zxid: Option<u64>,
    /// A log file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

fn parse_zxid(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let mut out = io::stdout().lock();
    let result = match args.zxid {
        Some(zxid) if args.chop => chop_txn_log(&RealVfs, &args.file, zxid, &mut out),
        _ => {
            let options = DumpOptions {
                recover: args.recover && !args.dump,
                verbose: args.verbose,
                yes: args.yes,
            };
            dump_txn_log(
                &RealVfs,
                &args.file,
                &options,
                &mut io::stdin().lock(),
                &mut out,
            )
        }
    };
    tool_end(result)
}

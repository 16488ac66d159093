//! Does one piece of work so often: for tools that count what a program executes.
//!
//! `zabra-hotpath` prints the names; `zabra-hotpath NAME TIMES` does it.

use std::process::ExitCode;

use zabra_hotpath::{counted, pieces};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        for piece in pieces() {
            println!("{}", piece.name);
        }
        return ExitCode::SUCCESS;
    };
    let times = args.next().and_then(|times| times.parse().ok());
    let piece = pieces().into_iter().find(|piece| piece.name == name);
    let (Some(piece), Some(times)) = (piece, times) else {
        eprintln!("usage: zabra-hotpath [NAME TIMES]");
        return ExitCode::FAILURE;
    };
    let mut work = (piece.prepare)();
    // What is done for the first time costs more: buffers grow, pages are touched.
    for number in 0..WARM_UP {
        work(number);
    }
    counted(&mut work, times);
    ExitCode::SUCCESS
}

const WARM_UP: u64 = 1_000;

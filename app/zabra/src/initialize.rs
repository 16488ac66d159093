//! `zabra initialize`: empty data directories for a first start.

use std::process::ExitCode;

use zabra_config::initialize::Initialize;

#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// --configfile=FILE [--myid=N] [--force]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match Initialize::from_args(&args.args).and_then(|initialize| initialize.run()) {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("{}", failure.0.trim_end());
            ExitCode::FAILURE
        }
    }
}

//! `zabra check`: what a configuration would do.

use std::process::ExitCode;

use zabra_config::check::Report;
use zabra_config::{Invocation, Machine};

use crate::server::system_properties;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A system property, as for a server
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    define: Vec<String>,
    /// A zoo.cfg, or port and data directory
    #[arg(required = true, value_hint = clap::ValueHint::AnyPath)]
    config: Vec<String>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let invocation = match Invocation::from_args(&args.config) {
        Ok(invocation) => invocation,
        Err(error) => {
            eprintln!("zabra: {error}");
            return ExitCode::from(error.exit().code());
        }
    };
    let report = Report::on(&invocation, &system_properties(&args.define), &Machine);
    print!("{}", report.render());
    ExitCode::from(report.exit_code())
}

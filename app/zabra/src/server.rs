//! `zabra server`: a server in the foreground.

use std::process::ExitCode;

use zabra_config::{Config, Invocation, Severity, SystemProperties};

use crate::log::{self, Format};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A system property, as in -Dzookeeper.snapCount=1000; those in SERVER_JVMFLAGS and JVMFLAGS are taken too
    #[arg(short = 'D', value_name = "NAME=VALUE")]
    define: Vec<String>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// A zoo.cfg, or `PORT DATADIR [TICKTIME [MAXCNXNS]]`. Without: standalone on 127.0.0.1:2181, data in ./zabra-data
    #[arg(value_hint = clap::ValueHint::AnyPath)]
    config: Vec<String>,
}

/// The system properties of the environment and of the command line, the latter last.
pub(crate) fn system_properties(define: &[String]) -> SystemProperties {
    let mut properties = SystemProperties::from_environment(|name| std::env::var(name).ok());
    for definition in define {
        properties.define(definition);
    }
    properties
}

pub(crate) fn run(args: &Args) -> ExitCode {
    log::start(args.log_format);
    // The allocator asks for huge pages, which would make an idle server several times as large as what it holds.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
    let loaded = Invocation::from_args(&args.config).and_then(|invocation| {
        let config = Config::load(&invocation, &system_properties(&args.define))?;
        Ok((invocation, config))
    });
    let (invocation, config) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(error.exit().code());
        }
    };
    for notice in &config.notices {
        match notice.severity {
            Severity::Debug => tracing::debug!("{notice}"),
            Severity::Info => tracing::info!("{notice}"),
            Severity::Warning => tracing::warn!("{notice}"),
            Severity::Unsafe => tracing::warn!("UNSAFE: {notice}"),
        }
    }
    if let Err(error) = zabra_config::dirs::prepare(&config.storage) {
        tracing::error!("{error}");
        return ExitCode::from(error.exit().code());
    }
    if let Err(error) = config.back_up_members() {
        tracing::warn!(
            "the members in zoo.cfg cannot be copied to a file beside it: {error}; reconfig will not last"
        );
    }
    if invocation == Invocation::Nothing {
        tracing::info!(
            "no configuration given: standalone on 127.0.0.1:2181, data in ./zabra-data; connect with any ZooKeeper client, \
             or try: zabra cli"
        );
    }
    match zabra_server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

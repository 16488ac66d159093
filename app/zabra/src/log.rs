//! Log lines to standard error.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logs from here on. `RUST_LOG` chooses what; the default is everything from `info`. Audits are no matter of choice here:
/// `audit.enable` decides. Their lines begin with their target.
pub(crate) fn start(format: Format) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_audit = |target: &str| target == zabra_server::audit::TARGET;
    let others = tracing_subscriber::filter::filter_fn(move |event| !is_audit(event.target()));
    let audits = Targets::new().with_target(zabra_server::audit::TARGET, LevelFilter::INFO);
    let layers = vec![
        lines(format, false)
            .with_filter(filter)
            .with_filter(others)
            .boxed(),
        lines(format, true).with_filter(audits).boxed(),
    ];
    tracing_subscriber::registry().with(layers).init();
}

fn lines(format: Format, with_target: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(with_target);
    match format {
        Format::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    }
}

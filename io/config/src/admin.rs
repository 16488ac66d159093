//! The HTTP admin server and the metrics provider, as configured.

use std::time::Duration;

use crate::error::ConfigError;
use crate::source::Source;

/// The HTTP admin server (features section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Whether it shall listen.
    pub enabled: bool,
    /// Where it listens.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The prefix of its commands.
    pub command_url: String,
    /// When an idle connection is closed.
    pub idle_timeout: Duration,
}

/// The metrics provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metrics {
    /// Shown by `mntr` and the admin server.
    Default,
    /// None are kept.
    Null,
    /// Served for Prometheus; not built yet, so that they are shown as by default.
    Prometheus,
}

impl Admin {
    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let given = source.text("admin.enableServer").unwrap_or_default();
        Ok(Self {
            // Apache compares with "false" to the letter.
            enabled: given != "false",
            address: source.text("admin.serverAddress").unwrap_or_default(),
            port: u16::try_from(source.int("admin.serverPort")?).unwrap_or(0),
            command_url: source.text("admin.commandURL").unwrap_or_default(),
            idle_timeout: source.millis("admin.idleTimeout")?,
        })
    }
}

impl Metrics {
    pub(crate) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let class = source.text("metricsProvider.className").unwrap_or_default();
        match class.rsplit('.').next().unwrap_or_default() {
            "DefaultMetricsProvider" => Ok(Self::Default),
            "NullMetricsProvider" => Ok(Self::Null),
            "PrometheusMetricsProvider" => {
                source.warn("metricsProvider.className", "the Prometheus endpoint is not built yet; ask for metrics with mntr");
                Ok(Self::Prometheus)
            }
            _ => Err(source.refuse(
                "metricsProvider.className",
                format!("metrics provider class {class} was not found"),
                "give Apache's DefaultMetricsProvider, NullMetricsProvider or PrometheusMetricsProvider",
            )),
        }
    }
}

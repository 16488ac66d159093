//! Judges configurations as Apache's server judged them: the same values where it starts, a refusal
//! where it refuses.
//!
//! Not among the vectors, because they differ on purpose: a negative minSessionTimeout counts as 0;
//! several addresses per server need multiAddress.enabled in `zoo.cfg` only, where Apache asks for
//! the system property besides; a TLS port in a server line is read as 3.10 reads it.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use zabra_config::{Config, Listen, Mode, Nowhere, SystemProperties, World};
use zabra_quorum::Role;

const VECTORS: &str = include_str!("vectors/judged.txt");

/// The files that lay beside the configurations.
struct Beside;

impl World for Beside {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let members = "server.1=127.0.0.1:2888:3888:participant;2181\n";
        let text = match path.to_str().unwrap_or_default() {
            "d1/myid" => "1\n".to_owned(),
            "d2/myid" => "2".to_owned(),
            "dx/myid" => "x\n".to_owned(),
            "dyn.1f" => format!("{members}server.2=127.0.0.2:2888:3888:participant;2181\n"),
            "dynv" => format!("{members}version=5\n"),
            "dynu" => format!("{members}foo=5\n"),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(text.into_bytes())
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        Nowhere.resolve(host)
    }
}

fn summary(config: &Config) -> String {
    let port = |listen: &Option<Listen>| {
        listen
            .as_ref()
            .map_or_else(|| "-".to_owned(), |l| l.port().to_string())
    };
    let (times, storage) = (config.sessions, &config.storage);
    format!(
        "OK dist={} client={} secure={} tick={} min={} max={} cnx={} data={} log={} retain={} purge={} peer={} qv={}",
        matches!(config.mode, Mode::Member(_)),
        port(&config.client),
        port(&config.secure_client),
        times.tick.as_millis(),
        times.timeout_min.as_millis(),
        times.timeout_max.as_millis(),
        config.limits.connections_per_client,
        storage.data_dir.display(),
        storage.data_log_dir.display(),
        storage.snap_retain_count,
        storage
            .purge_interval
            .map_or(0, |interval| interval.as_secs() / 3600),
        u8::from(config.ensemble.role == Role::Observer),
        config
            .ensemble
            .membership
            .as_ref()
            .map_or_else(|| "version=0".to_owned(), ToString::to_string)
            .replace('\n', "~"),
    )
}

#[test]
fn every_configuration_is_judged_as_apache_judged_it() {
    let mut judged = 0;
    for vector in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let (cfg, expected) = vector
            .split_once('\t')
            .expect("a configuration and its fate");
        let text = cfg.replace('~', "\n");
        let found = match Config::from_bytes(
            "zoo.cfg",
            text.as_bytes(),
            &SystemProperties::new(),
            &Beside,
        ) {
            Ok(config) => summary(&config),
            Err(_) => "ERR".to_owned(),
        };
        assert_eq!(found, expected, "{cfg}");
        judged += 1;
    }
    assert_eq!(judged, 110);
}

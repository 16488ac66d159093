//! The sample that is shipped can be used as it is.

use std::path::Path;

use zabra_config::{Config, Mode, Nowhere, Severity, SystemProperties};

#[test]
fn the_sample_configuration_is_of_a_standalone_server_and_gives_no_reason_for_remarks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/zoo_sample.cfg");
    let bytes = std::fs::read(path).unwrap();
    let config =
        Config::from_bytes("zoo_sample.cfg", &bytes, &SystemProperties::new(), &Nowhere).unwrap();
    assert_eq!(config.mode, Mode::Standalone);
    let remarks: Vec<_> = config
        .notices
        .iter()
        .filter(|n| n.severity == Severity::Warning)
        .collect();
    assert!(remarks.is_empty(), "{remarks:?}");
}

#[test]
fn every_setting_that_the_sample_leaves_out_is_known() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/zoo_sample.cfg");
    let text = std::fs::read_to_string(path).unwrap();
    let keys = text
        .lines()
        .filter_map(|line| line.strip_prefix('#')?.split_once('='))
        .map(|(key, _)| key);
    let unknown: Vec<&str> = keys
        .filter(|key| zabra_config::table::by_key(key).is_none())
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

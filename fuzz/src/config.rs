//! `zoo.cfg`, and the membership lines in it.

use zabra_config::properties::Properties;
use zabra_config::{Config, Nowhere, SystemProperties};

/// Reads the bytes as a `zoo.cfg` in a world without files. Entries come in the order of their lines, and an error
/// is one line of text.
pub fn config(bytes: &[u8]) {
    if let Ok(properties) = Properties::parse("zoo.cfg", bytes) {
        assert!(properties.entries().is_sorted_by_key(|entry| entry.line));
    }
    if let Err(error) = Config::from_bytes("zoo.cfg", bytes, &SystemProperties::new(), &Nowhere) {
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}

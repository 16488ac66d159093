//! Reads what Java read: 500 random files with the entries that `java.util.Properties` found in
//! them.

use std::collections::BTreeMap;

use zabra_config::properties::Properties;

const VECTORS: &str = include_str!("vectors/properties.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16)?.try_into().ok())
        .collect();
    digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn text(hex: &str) -> String {
    String::from_utf8(bytes(hex)).expect("vectors hold UTF-8")
}

#[test]
fn every_file_reads_as_java_reads_it() {
    let mut read = 0;
    for vector in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let (file, expected) = vector.split_once(' ').expect("a file and its entries");
        let parsed = Properties::parse("vector", &bytes(file)).ok();
        let found: Option<BTreeMap<String, String>> = parsed.map(|p| {
            p.entries()
                .iter()
                .map(|e| (e.key.clone(), e.value.clone()))
                .collect()
        });
        let expected: Option<BTreeMap<String, String>> = (expected != "ERR").then(|| {
            let pairs = expected.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (text(key), text(value))).collect()
        });
        assert_eq!(
            found,
            expected,
            "{:?}",
            String::from_utf8_lossy(&bytes(file))
        );
        read += 1;
    }
    assert_eq!(read, 500);
}

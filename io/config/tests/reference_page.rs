//! `docs/configuration.md` is what the table of settings prints. `ZABRA_BLESS=1` writes it anew.

use std::path::Path;

#[test]
fn the_page_is_what_the_table_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let printed = zabra_config::reference::markdown();
    if std::env::var_os("ZABRA_BLESS").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == printed,
        "docs/configuration.md is out of date; run this test with ZABRA_BLESS=1"
    );
}

#[test]
fn every_setting_is_on_the_page_once() {
    let page = zabra_config::reference::markdown();
    for setting in zabra_config::table::all() {
        let begin = format!("| `{}` |", setting.key);
        assert_eq!(
            page.lines().filter(|line| line.starts_with(&begin)).count(),
            1,
            "{}",
            setting.key
        );
    }
}

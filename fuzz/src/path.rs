//! Paths of znodes.

use zabra_proto::path;

/// A path that passes has a parent that passes, and splits into what makes it up again.
pub fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if path::validate(&text).is_err() || text == "/" {
        return;
    }
    assert!(text.starts_with('/') && !text.ends_with('/') && !text.contains("//"));
    if let Some((parent, name)) = path::split(&text) {
        assert!(!name.is_empty() && !name.contains('/'));
        assert_eq!(format!("{parent}/{name}"), text);
        assert!(parent.is_empty() || path::validate(parent).is_ok());
    }
}
